"""What a report is made of: one run, its steps, and what was judged of them.

``_ns`` are integer nanoseconds; what was not measured or asked for is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triton_users.server.audit import Audit
from triton_users.server.statistics import Split
from triton_users.stats.result import StepResult
from triton_users.verdict.verdict import Verdict


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker in a step, as the master saw it: its clock against the run's axis, and what of its arrivals
    was never sent or sent and not recorded, as far as known; ``unheard`` of them are in no window of it."""

    address: str
    clock_offset_ns: int
    clock_uncertainty_ns: int | None
    never_sent: int = 0
    unrecorded: int = 0
    unheard: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """``arrivals`` of the measured trials that are lost by ``worker`` (None: granted to nobody), all due in
    this part of the step (ns from its t0)."""

    worker: int | None
    from_ns: int
    until_ns: int
    arrivals: int


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One measured step. By model's name: ``server`` has Triton's statistics, ``audits`` what became of
    holding them against ours, ``model_versions`` the version that answered. ``workers`` are by number;
    ``gaps`` tell of all that is lost."""

    result: StepResult
    verdict: Verdict
    server: Mapping[str, Split] = field(default_factory=dict)
    audits: Mapping[str, Audit] = field(default_factory=dict)
    model_versions: Mapping[str, str] = field(default_factory=dict)
    workers: Mapping[int, WorkerView] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server under test. ``url`` is its gRPC address."""

    url: str
    version: str | None = None
    embedded: bool = False
    extensions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """A whole run. ``zero_wall_ns`` is the wall time (ns since the epoch) of zero on the run's axis.

    ``command`` is the argument list, secrets and all: they are taken out when it is written. ``verdict``
    is that of the whole run, with the reasons of all steps (``verdict.combine``). ``latency_threshold_ns``
    None: there is no goodput. ``exceptions``: how many users' tasks raised.
    """

    id: str
    seed: int
    zero_wall_ns: int
    duration_ns: int
    command: Sequence[str]
    versions: Mapping[str, str | None]
    workers: int
    server: ServerInfo
    steps: Sequence[StepOutcome]
    verdict: Verdict
    latency_threshold_ns: int | None = None
    exceptions: int | None = None
