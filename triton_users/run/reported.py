"""What each worker has said of a step, from its windows: how much, and of which time."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from triton_users.run.census import Counts
from triton_users.run.intervals import Interval, joined
from triton_users.stats.window import WARM_UP, Key, Window
from triton_users.step import UNKNOWN_CLASS


@dataclass(slots=True)
class Said:
    """By one worker. ``scheduled``, of that what the schedule does not hold (``unplanned``), and what has
    ended in whatever way; ``overdue`` counts the arrivals of measured trials that it lost itself. ``heard``
    are the stretches of the step that its windows cover, ``missed`` those in which the overdue were due."""

    scheduled: Counts = field(default_factory=Counter)
    unplanned: Counts = field(default_factory=Counter)
    ended: Counts = field(default_factory=Counter)
    overdue: int = 0
    heard: list[Interval] = field(default_factory=list)
    missed: list[Interval] = field(default_factory=list)


@dataclass(slots=True)
class Reported:
    """By all workers, of a step that begins at ``t0_ns`` on the run's axis; stretches are ns from there."""

    t0_ns: int = 0
    by: defaultdict[int, Said] = field(default_factory=lambda: defaultdict(Said))

    def add(self, window: Window) -> None:
        said = self.by[window.worker]
        for flow, trial, count in window.unplanned:
            said.unplanned[Key(flow, UNKNOWN_CLASS, trial)] += count
        for key, series in window.series.items():
            said.scheduled[key] += series.scheduled
            said.ended[key] += series.ok + sum(series.failed.values()) + series.dropped + series.lost
            said.overdue += series.lost if key.trial > WARM_UP else 0
        said.heard = joined([*said.heard, self._of_step(window.start_ns, window.end_ns)])
        if window.lost_between_ns is not None:
            first, last = window.lost_between_ns
            said.missed = joined([*said.missed, self._of_step(first, last + 1)])

    def _of_step(self, start_ns: int, end_ns: int) -> Interval:
        return start_ns - self.t0_ns, end_ns - self.t0_ns
