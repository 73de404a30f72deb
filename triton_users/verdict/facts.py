"""Facts: the plain numbers by which a step is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from triton_users.verdict.verdict import Threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One step over all its measured trials, flows and classes; the names are those of metrics.py.

    ``failed`` counts by status name. ``sent`` leaves out what failed without a connection.
    Percentiles are None where nothing was counted. ``planned_ns`` None: the step was to last until stopped.
    ``audit_*``: our count and the server's, both None where the audit was skipped; ``audit_counts``: of what.
    ``server_ended``: what became of the server during the step ("died: …", "restarted"), None if nothing.
    ``absent`` says whose requests were lost, a phrase each; ``silent`` names the workers whose last word on
    the step, or a window of it, never came; ``unanswered_ns``: from when to when of the step each worker
    had several requests in flight and none ended, the longest such time; ``slowest_p50_ns``: the median
    service latency of the slowest class; ``clocks``: worker -> uncertainty (ns) of its clock against the
    master's; ``slots``: those of a closed loop that were asked for; ``slots_off``: how many seconds had not
    as many, ``slots_off_in``: which of the run, a phrase for each stretch.
    ``generator_cpu``: worker -> share of one processor, the mean over the step; ``generator_lag_ns``: worker
    -> p99 of its send lag; ``windows_missing``: worker -> how many of its windows never came.
    """

    step: str
    open_loop: bool
    scheduled: int
    sent: int
    ok: int
    failed: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    lost: int = 0
    late: int = 0
    good: int | None = None
    latency_threshold_ns: int | None = None
    send_lag_p99_ns: int | None = None
    service_latency_p50_ns: int | None = None
    slowest_p50_ns: int | None = None
    unanswered_ns: tuple[int, int] | None = None
    measured_ns: int = 0
    planned_ns: int | None = None
    stopped: bool = False
    audit_ours: int | None = None
    audit_server: int | None = None
    audit_counts: str = "successful requests"
    server_ended: str | None = None
    generator_cpu: Mapping[str, float] = field(default_factory=dict)
    generator_lag_ns: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    clocks: Mapping[str, int | None] = field(default_factory=dict)
    slots: int = 0
    slots_off: int = 0
    slots_off_in: tuple[str, ...] = ()
    windows: int = 0
    windows_missing: Mapping[str, int] = field(default_factory=dict)
    thresholds: tuple[Threshold, ...] = ()

    @property
    def failures(self) -> int:
        return sum(self.failed.values())

    @property
    def remainder(self) -> int:
        """What the ledger does not explain; 0 unless we have a fault."""
        return self.scheduled - self.ok - self.failures - self.dropped - self.lost
