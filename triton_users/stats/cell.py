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

HISTS = (LATENCY, SERVICE_LATENCY, SEND_LAG, FAILED_LATENCY)
"""The rows of a cell's accumulator; the first three are those of a request that succeeded."""
_LAG, _FAILED = HISTS.index(SEND_LAG), HISTS.index(FAILED_LATENCY)


class Cell:
    """Counters and an accumulator from a pool, since each has half a megabyte of counts."""

    __slots__ = ("_hists", "_pool", "completed", "counts", "failures", "good", "late", "ok", "sent")

    def __init__(self, pool: list[Accumulator]) -> None:
        self._pool = pool
        self._hists = pool.pop() if pool else Accumulator(len(HISTS))
        self.sent = self.ok = self.late = self.completed = self.good = 0
        self.counts = {"scheduled": 0, "dropped": 0, "lost": 0}
        self.failures: dict[str, int] = {}

    def add_ok(self, durations_ns: Times) -> None:
        """Requests that succeeded: i8[3, n], their latency, service latency and send lag."""
        self.ok += durations_ns.shape[1]
        self._hists.add(durations_ns)
        self._sent(durations_ns[_LAG])

    def add_failed(self, latency_ns: Times, lag_ns: Times, status: dict[str, int]) -> None:
        """Requests that failed: done − arrival (i8[n]) of all, the send lag (i8[m]) of those that were sent,
        and how many by status."""
        self._hists.add(latency_ns, _FAILED)
        self._hists.add(lag_ns, _LAG)
        self._sent(lag_ns)
        for name, count in status.items():
            self.failures[name] = self.failures.get(name, 0) + count

    def _sent(self, lag_ns: Times) -> None:
        self.sent += len(lag_ns)
        self.late += int(np.count_nonzero(lag_ns > LATE_NS))

    def cut(self, batch_size: int) -> Series:
        """All as a value. The cell is spent; its accumulator goes back to the pool."""
        hists = {name: self._hists.cut(row) for row, name in enumerate(HISTS)}
        self._pool.append(self._hists)
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
