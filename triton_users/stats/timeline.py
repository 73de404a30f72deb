"""Timeline: the windows of all workers, merged by second for the spool and by step for the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from triton_users.stats.lines import Line, generator_to_json, line_of
from triton_users.stats.merge import SeriesSum
from triton_users.stats.messages import Messages
from triton_users.stats.result import StepResult
from triton_users.stats.sequences import Sequences
from triton_users.stats.step_sum import StepSum
from triton_users.stats.window import Key, Series, Window
from triton_users.step import Step

HOLD_S = 2
"""A second waits for all expected workers, but no longer than until windows so many seconds newer come."""

HISTORY_S = 30
"""Merged seconds are kept this long for late windows: 5 to 40 kB a class, and 1.5 kB a worker.

A window that is still later counts in its step's result, but makes no line.
"""


class Second:
    """One second of one step."""

    def __init__(self) -> None:
        self.workers: set[int] = set()
        self.revision = -1  # of the last line; -1 while the second is held
        self._series: dict[Key, SeriesSum] = {}
        self._generators: list[Line] = []
        self._messages = Messages()

    def add(self, window: Window) -> None:
        self.workers.add(window.worker)
        self._extend(window.series)
        self._generators.append(generator_to_json(window))
        self._messages.extend(window.messages)

    def line(self, place: tuple[int, int]) -> Line:
        """Its next line."""
        self.revision += 1
        series = {key: total.value() for key, total in self._series.items()}
        return line_of(place, self.revision, series, self._generators, self._messages.listed())

    def _extend(self, found: Mapping[Key, Series]) -> None:
        for key, series in found.items():
            self._series.setdefault(key, SeriesSum()).add(series)


class Timeline:
    """Lives as long as a run. The merge is exact and independent of the order of the windows.

    A line holds one second of one step, of all workers that have reported it. The key of a line is
    (step, second); its windows are named under ``generators`` by worker and seq, for acknowledging them once
    the line is on disk. A window that comes again changes nothing.
    """

    def __init__(self) -> None:
        self._sequences = Sequences()
        self._closed_at: dict[int, int] = {}  # by worker: the first seq that the next step's gaps may have
        self._expected: set[int] = set()
        self._seconds: dict[tuple[int, int], Second] = {}
        self._held: set[tuple[int, int]] = set()
        self._steps: dict[int, StepSum] = {}
        self._closed: set[int] = set()
        self._newest = 0

    def expect(self, workers: Iterable[int]) -> list[Line]:
        """From now on a second waits for these workers; the lines that need wait no more.

        Until told, the timeline waits for nobody and every window makes a line at once.
        """
        self._expected = set(workers)
        return self._ready()

    def add(self, window: Window) -> list[Line]:
        """Take a window in; the lines that are now to be written, oldest first.

        A window for a second that has been emitted makes its line anew, with the next revision.
        """
        if not self._sequences.add(window.worker, window.seq):
            return []
        if window.step not in self._closed:
            self._steps.setdefault(window.step, StepSum()).add(window)
        self._newest = max(self._newest, window.second)
        if self.too_late(window):
            return []
        place = (window.step, window.second)
        second = self._seconds.setdefault(place, Second())
        second.add(window)
        if second.revision >= 0:
            return self._emit([place])
        self._held.add(place)
        return self._ready()

    def flush(self) -> list[Line]:
        """The lines of all seconds that still wait."""
        return self._emit(sorted(self._held, key=_age))

    def too_late(self, window: Window) -> bool:
        """Whether it can only count in its step's result: its second's line is forgotten."""
        return window.second <= self._newest - HISTORY_S

    def known(self, worker: int, seq: int) -> bool:
        """Whether this window has come."""
        return self._sequences.known(worker, seq)

    def last(self, worker: int, seq: int) -> None:
        """The worker has said that ``seq`` is its last window so far: what is not here by then is missing."""
        self._sequences.last(worker, seq)

    def missing(self) -> dict[int, list[int]]:
        """Sequence numbers since the last closed step that should have come and have not, by worker; only
        workers that have some."""
        since = self._closed_at
        found = {w: self._sequences.missing(w, since.get(w, 0)) for w in self._sequences.workers()}
        return {worker: numbers for worker, numbers in found.items() if numbers}

    def close(
        self,
        step: Step,
        t0_ns: int,
        stop_ns: int | None = None,
        *,
        extra: Mapping[Key, Series] | None = None,
        hosts: Mapping[int, str] | None = None,
    ) -> StepResult:
        """The step's result.

        ``t0_ns`` and ``stop_ns`` (None: it ran to its planned end) are on the run's axis. ``extra`` is what
        no window tells: arrivals granted to nobody or owned by a worker that fell silent, as scheduled and
        lost. ``hosts`` has all workers that took part. Later windows of this step still make lines, but
        change no result. Raises ValueError for a step without an interval that was not stopped.
        """
        total = self._steps.pop(step.index, None) or StepSum()
        if extra:
            total.extend(extra)
        missing = {worker: len(numbers) for worker, numbers in self.missing().items()}
        result = total.result(step, t0_ns, stop_ns, missing, hosts or {})
        self._closed.add(step.index)
        self._closed_at = {worker: self._sequences.end(worker) for worker in self._sequences.workers()}
        return result

    def _ready(self) -> list[Line]:
        return self._emit(
            place
            for place in sorted(self._held, key=_age)
            if self._expected <= self._seconds[place].workers or place[1] <= self._newest - HOLD_S
        )

    def _emit(self, places: Iterable[tuple[int, int]]) -> list[Line]:
        lines = []
        for place in places:
            lines.append(self._seconds[place].line(place))
            self._held.discard(place)
        for place in list(self._seconds):  # in order of their coming, so the oldest are in front
            if place[1] > self._newest - HISTORY_S:
                break
            del self._seconds[place]
        return lines


def _age(place: tuple[int, int]) -> tuple[int, int]:
    step, second = place
    return second, step
