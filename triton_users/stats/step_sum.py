"""StepSum: what the windows of one step add up to, and the result that is made of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from math import fsum

from triton_users.stats.histogram import percentile
from triton_users.stats.merge import SeriesSum, merge_series
from triton_users.stats.messages import Messages
from triton_users.stats.result import GeneratorResult, Owner, StepResult, Trial
from triton_users.stats.trials import NO_TRIAL
from triton_users.stats.window import SEND_LAG, WARM_UP, Key, Series, Window
from triton_users.step import Step


class WorkerSum:
    """One worker's part of a step."""

    def __init__(self) -> None:
        self.windows = 0
        self._measured = SeriesSum(hists=(SEND_LAG,))
        self._measured_cpu, self._other_cpu = array("d"), array("d")
        self._stall_max = self._stalls = self._collections = 0

    def add(self, window: Window) -> None:
        self.windows += 1
        measured = [series for key, series in window.series.items() if key.trial > WARM_UP]
        for series in measured:
            self._measured.add(series)
        (self._measured_cpu if measured else self._other_cpu).append(window.generator.cpu_ratio)
        self._stall_max = max(self._stall_max, window.generator.loop_stall_max_ns)
        self._stalls += window.generator.loop_stalls
        self._collections += window.generator.gc_collections

    def result(self, worker: int, host: str | None, missing: int) -> GeneratorResult:
        measured = self._measured.value()
        cpu = self._measured_cpu or self._other_cpu or array("d", [0.0])
        lag = measured.hists.get(SEND_LAG)
        return GeneratorResult(
            worker=worker,
            host=host,
            cpu_mean=fsum(cpu) / len(cpu),  # fsum: the same whatever the order of the windows
            cpu_max=max(cpu),
            send_lag_p99_ns=percentile(lag, 99) if lag is not None else None,
            scheduled=measured.scheduled,
            sent=measured.sent,
            late=measured.late,
            dropped=measured.dropped,
            lost=measured.lost,
            windows=self.windows,
            windows_missing=missing,
            loop_stall_max_ns=self._stall_max,
            loop_stalls=self._stalls,
            gc_collections=self._collections,
        )


class StepSum:
    """Grows by windows, in memory that depends on the classes and trials and not on the length."""

    def __init__(self) -> None:
        self._series: dict[Key, SeriesSum] = {}
        self._messages = Messages()
        self._unanswered: dict[int, tuple[int, int] | None] = {}
        self.workers: dict[int, WorkerSum] = {}

    def add(self, window: Window) -> None:
        self.extend(window.series)
        self._messages.extend(window.messages)
        if window.series:
            longest = self._unanswered.get(window.worker)
            self._unanswered[window.worker] = max(longest, window.unanswered_ns, key=_rank)
        self.workers.setdefault(window.worker, WorkerSum()).add(window)

    def extend(self, series: Mapping[Key, Series]) -> None:
        for key, one in series.items():
            self._series.setdefault(key, SeriesSum()).add(one)

    def result(
        self,
        step: Step,
        t0_ns: int,
        stop_ns: int | None,
        missing: Mapping[int, int],
        hosts: Mapping[int, str],
    ) -> StepResult:
        """The step's result; ``missing`` counts the windows that never came, by worker; ``hosts`` has all
        that took part, also one that died before its first window. Raises ValueError as does
        ``trial_bounds``."""
        series = {key: total.value() for key, total in self._series.items()}
        seen = max(
            (key.trial + 1 for key, one in series.items() if _arrived(one) and key.trial > WARM_UP), default=0
        )
        trials = tuple(
            Trial(start, end, _of_trial(series, i), complete)
            for i, (start, end, complete) in enumerate(trial_bounds(step, t0_ns, stop_ns, seen))
        )
        totals = _by_owner(*(trial.series for trial in trials))
        whole = merge_series(totals.values())
        return StepResult(
            step=step,
            t0_ns=t0_ns,
            trials=trials,
            totals=totals,
            whole=whole,
            unmeasured=_by_owner(_of_trial(series, WARM_UP), _of_trial(series, NO_TRIAL)),
            lost=whole.lost,
            generators=tuple(
                self.workers.get(w, WorkerSum()).result(w, hosts.get(w), missing.get(w, 0))
                for w in sorted({*self.workers, *missing, *hosts})
            ),
            messages=self._messages.listed(),
            unanswered_ns=_common(self._unanswered.values()),
        )


def _common(spans: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    """What all of the workers' longest times have in common; None for nothing."""
    known = list(spans)
    if not known or None in known:
        return None
    from_ns = max(span[0] for span in known if span is not None)
    until_ns = min(span[1] for span in known if span is not None)
    return (from_ns, until_ns) if from_ns < until_ns else None


def _rank(span: tuple[int, int] | None) -> tuple[int, int]:
    """The longest is the greatest; of equals the earliest, whatever the order of the windows."""
    return (span[1] - span[0], -span[0]) if span is not None else (0, 0)


def _by_owner(*parts: Mapping[Owner, Series]) -> dict[Owner, Series]:
    """The sum of all, owner by owner."""
    owners = sorted({owner for part in parts for owner in part})
    return {owner: merge_series(part[owner] for part in parts if owner in part) for owner in owners}


def _of_trial(series: Mapping[Key, Series], trial: int) -> dict[Owner, Series]:
    found = {(key.flow, key.cls): one for key, one in series.items() if key.trial == trial}
    return dict(sorted(found.items(), key=lambda item: item[0]))


def _arrived(series: Series) -> bool:
    """Whether there is more in it than completions of other trials' requests."""
    return bool(series.scheduled or series.ok or series.failed or series.dropped or series.lost)


def trial_bounds(step: Step, t0_ns: int, stop_ns: int | None, seen: int) -> list[tuple[int, int, bool]]:
    """(start, end, complete) of each trial, on the axis of ``t0_ns``.

    A trial that begins at or after the stop is none, unless something arrived in it (``seen`` counts the
    trials up to the last that has arrivals). Raises ValueError for a step without an interval and a stop.
    """
    base = t0_ns + step.warm_up_ns
    if step.interval_ns is None:
        if stop_ns is None:
            raise ValueError(f"step {step.name!r} has no interval: it ends when it is stopped")
        return [(base, stop_ns, True)] if stop_ns > base or seen else []
    bounds = []
    for i in range(step.max_trials):
        start, end = base + i * step.interval_ns, base + (i + 1) * step.interval_ns
        if stop_ns is None or end <= stop_ns:
            bounds.append((start, end, True))
        elif start < stop_ns or i < seen:
            bounds.append((start, max(start, stop_ns), False))
    return bounds
