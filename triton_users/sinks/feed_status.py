"""How the feed fares, from the child to its parent: a small file that is overwritten in place.

In place, because a full disk has no room for a new one: the file gets its size while there is some.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from triton_users.sinks.redact import redact_text
from triton_users.units import format_count

SIZE = 4096
_MAX_TEXT = 300


@dataclass(slots=True)
class FeedStatus:
    """``started``: the feed follows the spool, and SIGTERM ends it in order. ``lines`` of the spool and
    ``points`` are written; ``rejected`` points were refused for good, last for ``rejected_reason``,
    ``unreadable`` lines made no points, and ``unkept`` of both are in no file either. ``failing_since_ns``
    (this machine's monotonic clock): since when nothing could be written, for ``reason``; None while all is
    well."""

    started: bool = False
    lines: int = 0
    points: int = 0
    rejected: int = 0
    rejected_reason: str = ""
    unreadable: int = 0
    unkept: int = 0
    failing_since_ns: int | None = None
    reason: str = ""

    @property
    def missing(self) -> str:
        """What the database will never have, in words; empty if it has all that was read."""
        counts = ((self.rejected, "refused points"), (self.unreadable, "unreadable lines"))
        return " and ".join(f"{format_count(count)} {what}" for count, what in counts if count)

    def failing(self, reason: str, now_ns: int) -> None:
        """An attempt has failed."""
        self.reason = redact_text(reason)[:_MAX_TEXT]
        if self.failing_since_ns is None:
            self.failing_since_ns = now_ns

    def well(self) -> None:
        """Something was written."""
        self.failing_since_ns = None
        self.reason = ""


class StatusFile:
    """The file, from both sides. Nothing raises after ``create``: to tell is no reason to fail."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the file, as large as it will ever be. Raises OSError."""
        self.path.write_bytes(self._packed(FeedStatus()))

    def write(self, status: FeedStatus) -> None:
        with contextlib.suppress(OSError):
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(file, self._packed(status), 0)
            finally:
                os.close(file)

    def read(self) -> FeedStatus | None:
        """What was written last; None if that cannot be told now."""
        try:
            return FeedStatus(**json.loads(self.path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _packed(self, status: FeedStatus) -> bytes:
        values = asdict(status) | {"rejected_reason": status.rejected_reason[:_MAX_TEXT]}
        return json.dumps(values, ensure_ascii=False).encode().ljust(SIZE)
