"""Each worker as the run goes: how it fared in its last second, and what it has done so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from triton_users.sinks.events import OPEN_LOOP
from triton_users.stats.lines import Line
from triton_users.stats.sequences import Sequences
from triton_users.stats.timeline import HOLD_S

SHOWN = 100
"""Of more workers those with the most CPU: a page asks for them every second."""
SUMS = {"sent": "requests", "late": "late", "dropped": "dropped"}
"""What of a window is added up, and its name on the page."""
NOW = ("cpu_ratio", "send_lag_p99_ns", "share")
STAYS = ("address", "clock_offset_ns", "clock_uncertainty_ns")


@dataclass(slots=True)
class _Seen:
    """``newest`` are the second and the window (its seq) that ``last`` is of."""

    newest: tuple[int, int] = (-1, -1)
    last: dict[str, Any] = field(default_factory=dict)
    sums: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Workers:
    """Fed with the merged lines of one run. Sums are over the run so far, warm-ups included; missing are the
    windows before its newest that have not come. A worker that is silent has no figures of now, and a
    closed loop no send lag."""

    _seen: dict[int, _Seen] = field(default_factory=dict)
    _windows: Sequences = field(default_factory=Sequences)
    _newest: int = -1

    def add(self, line: Line) -> None:
        """Take a merged line; of a later revision only the windows that are new count."""
        second = line["second"]
        self._newest = max(self._newest, second)
        scheduled: Counter[int] = Counter()
        for window in line["generators"]:
            scheduled[window["worker"]] += window["scheduled"]
        whole = scheduled.total()
        for window in line["generators"]:
            worker, seq = window["worker"], window["seq"]
            seen = self._seen.setdefault(worker, _Seen())
            if self._windows.add(worker, seq):
                seen.sums.update({"windows": 1} | {name: window[key] for key, name in SUMS.items()})
            if (second, seq) >= seen.newest:
                seen.newest = second, seq
                seen.last = {name: window.get(name) for name in (*NOW, *STAYS)}
                seen.last["share"] = scheduled[worker] / whole if whole else None
                if line.get(OPEN_LOOP) == []:
                    seen.last["send_lag_p99_ns"] = None

    def figures(self) -> list[dict[str, Any]]:
        """A row for each worker, in order of their numbers."""
        busiest = sorted(self._seen, key=lambda worker: -self._seen[worker].last["cpu_ratio"])[:SHOWN]
        return [self._row(worker) for worker in sorted(busiest)]

    @property
    def count(self) -> int:
        """How many have been seen."""
        return len(self._seen)

    def _row(self, worker: int) -> dict[str, Any]:
        seen = self._seen[worker]
        silent = seen.newest[0] < self._newest - HOLD_S
        return {
            "worker": worker,
            **{name: seen.last[name] for name in STAYS},
            **{name: None if silent else seen.last[name] for name in NOW},
            **{name: seen.sums[name] for name in (*SUMS.values(), "windows")},
            "windows_missing": len(self._windows.missing(worker)),
        }
