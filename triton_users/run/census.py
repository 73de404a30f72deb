"""How many arrivals of a schedule each worker owned: counted from the schedule itself, piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from triton_users.inputs import class_edges, class_index
from triton_users.run.roster import Span
from triton_users.schedule import Arrivals, Schedule
from triton_users.stats.trials import NO_TRIAL, TrialAxis
from triton_users.stats.window import Key
from triton_users.step import CLOSED, UNKNOWN_CLASS, Flow, Step
from triton_users.units import NS_PER_S

NOBODY = -1
PIECE = 1 << 14
"""Arrivals made and counted at a time: about a millisecond's work, whatever the length of the step."""

Counts = Counter[Key]


class Census:
    """Counts the arrivals of a step's open-loop flows. ``until`` tells up to when (ns from t0) a worker's
    arrivals are its own; what falls later is nobody's business. ``pause`` is called after each piece."""

    def __init__(self, step: Step, seed: int, until: Callable[[int], int], pause: Callable[[], None]) -> None:
        self._step, self._until, self._pause = step, until, pause
        self._flows = [
            (flow, Schedule(flow.process, flow.rate, seed, f"{step.index}/{flow.name}"), flow.rate)
            for flow in step.flows
            if flow.process != CLOSED and flow.rate is not None
        ]

    def count(self, span: Span, k: int = 0, n: int = 1) -> dict[int, Counts]:
        """The arrivals j of a span with j mod n = k, by the worker that owned them; of one granted to nobody
        under NOBODY."""
        workers = span.workers or (NOBODY,)
        untils = [self._until(worker) for worker in workers]
        found: dict[int, Counts] = {worker: Counter() for worker in workers}
        for flow, schedule, rate in self._flows:
            tally = _Tally(self._step, flow, untils)
            for start, end in _pieces(span.from_ns, min(span.until_ns, max(untils)), rate):
                tally.add(schedule.arrivals(start, end, k, n))
                self._pause()
            for worker, counts in zip(workers, tally.found(), strict=True):
                found[worker].update(counts)
        return found


def _pieces(start_ns: int, end_ns: int, rate: float) -> Iterator[tuple[int, int]]:
    length = max(int(PIECE / rate * NS_PER_S), 1)
    for start in range(start_ns, end_ns, length):
        yield start, min(start + length, end_ns)


class _Tally:
    """One flow's arrivals by place among the workers, trial and class."""

    def __init__(self, step: Step, flow: Flow, untils: Sequence[int]) -> None:
        self._flow = flow
        self._axis = TrialAxis(step, 0)
        self._untils = np.array(untils, np.int64)
        classes = flow.classes or ((UNKNOWN_CLASS, 1.0),)
        self._classes = [cls for cls, _ in classes]
        self._edges = class_edges(classes)
        trials = (1 if step.interval_ns is None else step.max_trials) - NO_TRIAL
        self._counts = np.zeros((len(untils), trials, len(self._classes)), np.int64)

    def add(self, arrivals: Arrivals) -> None:
        place = arrivals.index % len(self._untils)
        cell = place * self._counts.shape[1] + self._axis.trials(arrivals.offset_ns) - NO_TRIAL
        if len(self._classes) > 1:
            cell = cell * len(self._classes) + class_index(self._edges, arrivals.pick)
        owned = cell[arrivals.offset_ns < self._untils[place]]
        self._counts += np.bincount(owned, minlength=self._counts.size).reshape(self._counts.shape)

    def found(self) -> list[Counts]:
        """By place."""
        found: list[Counts] = [Counter() for _ in self._untils]
        for place, trial, cls in np.argwhere(self._counts).tolist():
            key = Key(self._flow.name, self._classes[cls], trial + NO_TRIAL)
            found[place][key] = int(self._counts[place, trial, cls])
        return found
