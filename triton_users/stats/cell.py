"""Cell: the numbers of one (tag, trial) while a window fills."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triton_users.stats.histogram import Accumulator
from triton_users.stats.window import FAILED_LATENCY, LATENCY, SEND_LAG, SERVICE_LATENCY, Series
from triton_users.units import NS_PER_MS

LATE_NS = NS_PER_MS
"""A request sent more than this after its arrival is late."""

Times = npt.NDArray[np.int64]


class Cell:
    """Counters and accumulators; the latter come from a pool, since each is 135 kB of counts."""

    __slots__ = ("_hists", "_pool", "completed", "counts", "failures", "good", "late", "ok", "sent")

    def __init__(self, pool: list[Accumulator]) -> None:
        self._pool = pool
        self._hists: dict[str, Accumulator] = {}
        self.sent = self.ok = self.late = self.completed = self.good = 0
        self.counts = {"scheduled": 0, "dropped": 0, "lost": 0}
        self.failures: dict[str, int] = {}

    def _hist(self, name: str) -> Accumulator:
        hist = self._hists.get(name)
        if hist is None:
            hist = self._hists[name] = self._pool.pop() if self._pool else Accumulator()
        return hist

    def add_sent(self, arrival_ns: Times, sent_ns: Times) -> None:
        """Requests that ended and had been sent (i8[n] each)."""
        lag = sent_ns - arrival_ns
        self.sent += len(lag)
        self.late += int(np.count_nonzero(lag > LATE_NS))
        self._hist(SEND_LAG).add(lag)

    def add_ok(self, arrival_ns: Times, sent_ns: Times, latency_ns: Times, done_ns: Times) -> None:
        """Requests that succeeded (i8[n] each)."""
        self.ok += len(latency_ns)
        self._hist(LATENCY).add(latency_ns)
        self._hist(SERVICE_LATENCY).add(done_ns - sent_ns)
        self.add_sent(arrival_ns, sent_ns)

    def add_failed(self, latency_ns: Times, status: dict[str, int]) -> None:
        """Requests that failed: done − arrival (i8[n]) and how many by status."""
        self._hist(FAILED_LATENCY).add(latency_ns)
        for name, count in status.items():
            self.failures[name] = self.failures.get(name, 0) + count

    def cut(self, batch_size: int) -> Series:
        """All as a value. The cell is spent; its accumulators go back to the pool."""
        hists = {name: hist.cut() for name, hist in self._hists.items()}
        self._pool.extend(self._hists.values())
        return Series(
            scheduled=self.counts["scheduled"],
            sent=self.sent,
            ok=self.ok,
            failed=self.failures,
            dropped=self.counts["dropped"],
            lost=self.counts["lost"],
            late=self.late,
            inferences=self.ok * batch_size,
            completed=self.completed,
            completed_inferences=self.completed * batch_size,
            good=self.good,
            hists={name: hist for name, hist in hists.items() if hist.total},
        )
