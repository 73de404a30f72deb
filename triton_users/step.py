"""What is asked of the workers: flows, classes, steps and leases.

All values are frozen and travel from master to workers. Times are integer nanoseconds; a step's own times
are relative to its start t0, the instant at which its schedule begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CLOSED = "closed"
CONSTANT = "constant"
POISSON = "poisson"

MAX_IN_FLIGHT = 1024
"""Default of the run's in-flight cap in open loop: arrivals beyond it are dropped and counted."""


@dataclass(frozen=True, slots=True, order=True)
class RequestClass:
    """Model × batch size × input shapes: what has its own row in every result.

    ``batch_size`` is the number of inferences in a request (1 for a model without batching);
    ``input_shapes`` are (name, shape without the batch dimension), sorted by name.
    """

    model: str
    batch_size: int
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


UNKNOWN_CLASS = RequestClass("", 0)
"""Of arrivals whose class nobody can know: users' own tasks decide it when they send, if they do."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One stream of traffic with its own numbering.

    ``process`` is CLOSED (then ``users`` counts the slots) or the arrival process of an open loop
    (then ``rate`` is in requests per second). ``classes`` are (class, weight); empty for users with tasks
    of their own, whose classes show when they send.
    """

    name: str
    user_class: str
    model: str
    process: str
    rate: float | None
    users: int | None
    classes: tuple[tuple[RequestClass, float], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One point of a sweep: warm-up, then up to ``max_trials`` trials of ``interval_ns``, then the drain.

    ``interval_ns`` None measures one trial that lasts until the step is stopped.
    """

    index: int
    name: str
    flows: tuple[Flow, ...]
    warm_up_ns: int
    interval_ns: int | None
    max_trials: int = 1
    drain_ns: int = 30_000_000_000
    max_in_flight: int = MAX_IN_FLIGHT
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def open_loop(self) -> bool:
        return any(flow.process != CLOSED for flow in self.flows)

    @property
    def length_ns(self) -> int | None:
        """From t0 to the last planned arrival's end; None while only a stop ends the step."""
        return None if self.interval_ns is None else self.warm_up_ns + self.max_trials * self.interval_ns


@dataclass(frozen=True, slots=True)
class Lease:
    """Worker ``k`` of ``n`` may send the arrivals j with j mod n = k that fall in [from_ns, until_ns).

    Times are relative to the step's t0. Given once, never revoked.
    """

    step: int
    from_ns: int
    until_ns: int
    k: int
    n: int
