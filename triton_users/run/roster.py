"""Who is alive, and who may send which part of the schedule: pure decisions on times that are passed in.

Time is granted in spans. A span is shared by the workers alive when it is granted (worker k of n sends the
arrivals j with j mod n = k), is given once and never revoked. So no arrival is ever sent twice: a worker
that falls silent keeps what it was given, and gets no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from triton_users.step import Lease
from triton_users.units import NS_PER_MS

AHEAD_NS = 2200 * NS_PER_MS
"""Leases reach this far ahead: two rounds and a little, so that neither a pause of the master nor a missed
round stops anybody at once."""
SILENT_NS = 1500 * NS_PER_MS
"""A worker not heard of for this long gets no more leases; answers are held for 0.3 s at most (answer.py). So
the last lease of one that dies ends within SILENT_NS + AHEAD_NS, and the rate is back then: rounds, beats and
their delays can only make it earlier."""


@dataclass(slots=True)
class Span:
    """A stretch of a step's schedule (ns from t0) and the workers that share it, in order of k."""

    from_ns: int
    until_ns: int
    workers: tuple[int, ...]


@dataclass(slots=True)
class Roster:
    """Grants one step's schedule. ``length_ns`` None: until the step is stopped.

    ``heard`` maps a worker's number to when it last spoke; all times are on the step's axis (0 at t0).
    """

    step: int
    length_ns: int | None
    heard_at: dict[int, int] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    granted_ns: int = 0

    def heard(self, worker: int, now: int) -> None:
        """A worker has spoken."""
        self.heard_at[worker] = now

    def gone(self, worker: int) -> None:
        """A worker has left."""
        self.heard_at.pop(worker, None)

    def alive(self, now: int) -> tuple[int, ...]:
        """Workers that may get a lease, in the order of their numbers."""
        return tuple(sorted(w for w, at in self.heard_at.items() if now - at < SILENT_NS))

    def grant(self, now: int) -> list[tuple[int, Lease]]:
        """The leases that are due now. Time that has passed without anyone to grant it to is granted to
        nobody, and its arrivals are lost."""
        workers = self.alive(now)
        end = max(now, 0) + AHEAD_NS
        if self.length_ns is not None:
            end = min(end, self.length_ns)
        if now > self.granted_ns:
            self._nobody(min(now, end))
        if not workers:
            return []
        if self.granted_ns >= end:
            return []
        start, n = self.granted_ns, len(workers)
        self._give(end, workers)
        return [(w, Lease(self.step, start, end, k, n)) for k, w in enumerate(workers)]

    def _nobody(self, until_ns: int) -> None:
        if until_ns > self.granted_ns:
            self._give(until_ns, ())

    def _give(self, until_ns: int, workers: tuple[int, ...]) -> None:
        """One more span; neighbours of the same workers are one."""
        last = self.spans[-1] if self.spans else None
        if last is not None and last.workers == workers:
            last.until_ns = until_ns
        else:
            self.spans.append(Span(self.granted_ns, until_ns, workers))
        self.granted_ns = until_ns

    def close(self, end_ns: int) -> None:
        """The step ends here, or has been stopped: what was not granted by then was granted to nobody."""
        self._nobody(end_ns)

    def granted_workers(self) -> set[int]:
        """Who was ever given a lease in this step."""
        return {worker for span in self.spans for worker in span.workers}
