"""Window: one second of one worker's results, as an immutable value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from triton_users.step import RequestClass

WARM_UP = -1
"""The trial of arrivals that fall into the warm-up."""

LATENCY = "latency"
SERVICE_LATENCY = "service_latency"
SEND_LAG = "send_lag"
FAILED_LATENCY = "failed_latency"


@dataclass(frozen=True, slots=True, eq=False)
class Hist:
    """A sparse histogram in HdrHistogram's layout (see histogram.py) with exact sums, in nanoseconds.

    ``index`` (u2, ascending) and ``count`` (u4; u8 where a merge outgrew it) list the buckets that are not
    empty; ``total`` is the number of values; ``sum`` and ``sum_squares`` are exact Python integers. ``min``
    and ``max`` are exact, 0 if empty. ``clamped`` counts the values that lay outside 0 … 1 h and were taken
    as the nearer end.
    """

    index: npt.NDArray[np.uint16]
    count: npt.NDArray[np.uint32] | npt.NDArray[np.uint64]
    total: int
    sum: int
    sum_squares: int
    min: int
    max: int
    clamped: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """Whose numbers these are. A request belongs to the trial in which its arrival falls."""

    flow: str
    cls: RequestClass
    trial: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Counters and histograms of one key.

    By arrival: ``scheduled`` (counted from the schedule alone), ``sent``, ``ok``, ``failed`` by status name,
    ``dropped``, ``lost``, ``late``, ``inferences`` (of ok requests), ``hists`` by name.
    By completion, whatever the arrival: ``completed`` ok requests, their ``completed_inferences`` and the
    ``good`` ones among them (within the latency budget; 0 without one); rates are made of these.
    """

    scheduled: int = 0
    sent: int = 0
    ok: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    lost: int = 0
    late: int = 0
    inferences: int = 0
    completed: int = 0
    completed_inferences: int = 0
    good: int = 0
    hists: dict[str, Hist] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generator:
    """What the worker process says of itself in one window."""

    cpu_ratio: float
    loop_stall_max_ns: int
    loop_stalls: int
    gc_collections: int


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One second of one worker. ``start_ns``/``end_ns`` are on the run's axis; windows of a worker are
    numbered by ``seq`` without gaps. The window's ledger closes:
    scheduled + in_flight_start = ok + failed + dropped + lost + in_flight_end."""

    worker: int
    seq: int
    second: int
    step: int
    start_ns: int
    end_ns: int
    series: dict[Key, Series]
    in_flight_start: int
    in_flight_end: int
    users: int
    generator: Generator
    messages: tuple[tuple[str, str, int], ...] = ()
    """First error messages seen: (status, message, count)."""
    unplanned: tuple[tuple[str, int, int], ...] = ()
    """Of the scheduled, those that no arrival of the schedule stands for, a task's later requests under a
    rate: (flow, trial, count)."""
    lost_between_ns: tuple[int, int] | None = None
    """When the first and the last of the lost ones were due, on the run's axis; None without any."""
    unanswered_ns: tuple[int, int] | None = None
    """The longest time, from when to when on the run's axis, in which requests were in flight and none ended.
    It reaches into this window, may have begun in an earlier one, and leaves the warm-up out."""
