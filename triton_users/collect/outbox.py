"""Lines on their way to somebody who may be slow: bounded, and what did not fit is counted."""

from __future__ import annotations

import queue
from collections.abc import Sequence

from triton_users.collect.sensor import Note, Sample

LARGEST_BATCH = 1_000


class Outbox:
    """``put`` never blocks and may be called from any thread; ``take`` is for one."""

    def __init__(self, size: int = 20_000) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(size)
        self.dropped = 0

    def put(self, found: Sequence[Sample | Note]) -> None:
        for one in found:
            try:
                self._lines.put_nowait(one.line())
            except queue.Full:
                self.dropped += 1

    def close(self) -> None:
        """Let ``take`` end: it returns nothing once it has returned what there was."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            self._lines.get_nowait()
            self.close()

    def take(self) -> bytes:
        """Waits for lines and returns all that there are; empty at the end."""
        lines = [self._lines.get()]
        while len(lines) < LARGEST_BATCH and lines[-1] is not None:
            try:
                lines.append(self._lines.get_nowait())
            except queue.Empty:
                break
        return "".join(f"{line}\n" for line in lines if line is not None).encode()
