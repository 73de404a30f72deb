"""The spool's lines as batches of points, no more of them in memory than one batch has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triton_users.sinks.folder import ResultsError
from triton_users.sinks.points_line import Points
from triton_users.sinks.spool import SpoolReader

MAX_POINTS = 2000
MAX_BYTES = 1 << 20


@dataclass(slots=True)
class Batch:
    """``lines`` of the spool as ``points``; ``unreadable`` says what is wrong with those that made none."""

    points: list[str] = field(default_factory=list)
    lines: int = 0
    unreadable: list[str] = field(default_factory=list)


class Batches:
    """Follows a spool. A batch ends with a whole line of the spool, and can so be a line's points larger
    than its bounds."""

    def __init__(self, spool: Path, points: Points) -> None:
        self._reader = SpoolReader(spool)
        self._points = points
        self._lines: Iterator[dict[str, Any]] | None = None

    def next(self) -> Batch:
        """What has come, up to a batch; empty if nothing has. Raises ResultsError if the file cannot be
        read."""
        batch = Batch()
        size = 0
        while len(batch.points) < MAX_POINTS and size < MAX_BYTES:
            before = self._reader.offset
            try:
                line = self._next_line()
                if line is None:
                    break
                made = self._points.of(line)
            except ResultsError as error:
                if self._reader.offset == before:
                    raise
                self._lines = None
                batch.unreadable.append(str(error))
                made = []
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                batch.unreadable.append(f"a line is not what its kind promises: {error!r}")
                made = []
            batch.lines += 1
            batch.points += made
            size += sum(map(len, made))
        return batch

    def _next_line(self) -> dict[str, Any] | None:
        if self._lines is None:
            self._lines = self._reader.poll()
        line = next(self._lines, None)
        if line is None:
            self._lines = None
        return line
