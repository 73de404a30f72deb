"""StepResult: all that was measured in one step, as an immutable value."""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.stats.histogram import percentile
from triton_users.stats.window import LATENCY, Series
from triton_users.step import RequestClass, Step
from triton_users.units import NS_PER_S

Owner = tuple[str, RequestClass]
"""(flow, class)."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One measurement interval; ``end_ns`` is its real end where the step was stopped within it.

    Times are on the run's axis. ``complete`` tells whether it lasted as long as planned.
    """

    start_ns: int
    end_ns: int
    series: dict[Owner, Series]
    complete: bool = True

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class GeneratorResult:
    """What one worker did and how it fared. The counts and the lag are those of the measured trials.

    ``cpu_mean`` and ``cpu_max`` are ratios of one core over the windows in which measured requests arrived
    or ended (over all windows, where there are none); ``send_lag_p99_ns`` is None where nothing was sent.
    Stalls and collections are those of the whole step. ``windows_missing`` counts sequence numbers.
    """

    worker: int
    host: str | None
    cpu_mean: float
    cpu_max: float
    send_lag_p99_ns: int | None
    scheduled: int
    sent: int
    late: int
    dropped: int
    lost: int
    windows: int
    windows_missing: int
    loop_stall_max_ns: int
    loop_stalls: int
    gc_collections: int


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """``t0_ns`` and the trials' times are on the run's axis. ``totals`` and ``whole`` are the sums over the
    measured trials, by (flow, class) and of all; ``unmeasured`` is what arrived before them, and after them,
    when a task that has begun goes on to its end. ``lost`` counts arrivals of the measured trials.
    ``unanswered_ns`` is the longest time, from when to when, in which several requests were in flight at each
    worker and none ended, without the warm-up.
    """

    step: Step
    t0_ns: int
    trials: tuple[Trial, ...]
    totals: dict[Owner, Series]
    whole: Series
    unmeasured: dict[Owner, Series]
    lost: int
    generators: tuple[GeneratorResult, ...]
    messages: tuple[tuple[str, str, int], ...]
    unanswered_ns: tuple[int, int] | None = None

    @property
    def measured_ns(self) -> int:
        """The length of the measured trials together: what rates are divided by."""
        return sum(trial.duration_ns for trial in self.trials)

    @property
    def achieved_request_rate(self) -> float:
        """Successful completions per second of the measured trials."""
        return self.whole.completed * NS_PER_S / self.measured_ns if self.measured_ns else 0.0

    @property
    def latency_p50_ns(self) -> int | None:
        """Median latency of successful requests; None without any."""
        hist = self.whole.hists.get(LATENCY)
        return percentile(hist, 50) if hist is not None and hist.total else None


def ledger(series: Series) -> int:
    """scheduled − ok − failed − dropped − lost: 0 where every arrival is accounted for."""
    return series.scheduled - series.ok - sum(series.failed.values()) - series.dropped - series.lost
