"""Any line of a spool as points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from triton_users.sinks.points_event import event_point, sample_point
from triton_users.sinks.points_step import step_points
from triton_users.sinks.points_window import lost_points, window_points
from triton_users.stats.sequences import Sequences


class Points:
    """Makes the points of one run's lines, which must come in the spool's order.

    ``budget``: whether it has a latency budget. It remembers which windows came: the same spool makes the
    same points.
    """

    def __init__(self, run: str, zero_wall_ns: int, *, budget: bool) -> None:
        self._run = {"run": run}
        self._zero = zero_wall_ns
        self._budget = budget
        self._seen = Sequences()

    def of(self, line: dict[str, Any]) -> list[str]:
        """The line's points in line protocol. Raises KeyError, TypeError or ValueError for a line that is
        not what its kind promises; kinds that are not known make no points."""
        return [made for made in self._of(line) if made is not None]

    def _of(self, line: dict[str, Any]) -> Iterator[str | None]:
        match line.get("kind", "window"):
            case "window":
                yield from window_points(line, self._tags(line), self._zero, self._seen, budget=self._budget)
            case "lost":
                yield from lost_points(line, self._tags(line), self._zero, budget=self._budget)
            case "step":
                yield from step_points(line, self._tags(line), self._zero)
            case "event":
                yield event_point(line, self._run, self._zero)
            case "sample":
                yield sample_point(line, self._run, self._zero)

    def _tags(self, line: dict[str, Any]) -> dict[str, str]:
        return self._run | {"step": f"{line['step']:02d}", "step_name": line.get("name", "")}
