"""What real servers have sent, as tests/recordings/record_wire.py wrote it down."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_users.wire import frames

RECORDINGS = Path(__file__).parents[1] / "recordings"


@dataclass(frozen=True)
class Recording:
    """``stream`` is all that the server said; ``statuses`` those of the answers, in the order of requests."""

    name: str
    statuses: tuple[int, ...]
    stream: bytes

    @property
    def units(self) -> list[bytes]:
        return list(frames_of(self.stream))


def frames_of(stream: bytes) -> Iterator[bytes]:
    """Whole frames, heads included."""
    start = 0
    while start < len(stream):
        end = start + frames.HEAD_SIZE + int.from_bytes(stream[start : start + 3])
        yield stream[start:end]
        start = end


def recordings() -> list[Recording]:
    return [
        Recording(
            f"{path.stem.removeprefix('wire-')}: {one['name']}",
            tuple(one["statuses"]),
            base64.b64decode(one["stream"]),
        )
        for path in sorted(RECORDINGS.glob("wire-*.json"))
        for one in json.loads(path.read_text())["conversations"]
    ]
