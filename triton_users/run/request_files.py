"""A worker's requests for --save-requests: step by step, with the schedule's numbers, on the run's axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triton_users.schedule import Schedule
from triton_users.sinks.requests import NONE, RequestsWriter
from triton_users.stats.recorder import Recorder
from triton_users.stats.request_log import RequestRows, join_index
from triton_users.step import CLOSED, Flow, Lease, Step

Ints = npt.NDArray[np.int64]


class RequestFiles:
    """Writes to ``folder``, which stays with the worker."""

    def __init__(self, folder: Path, worker: int, seed: int) -> None:
        self._writer = RequestsWriter(folder, worker)
        self._seed = seed

    def add(
        self,
        step: Step,
        zero_ns: int,
        t0_ns: int,
        leases: Sequence[Lease],
        rows: RequestRows,
        recorder: Recorder,
    ) -> None:
        """The requests of a step. ``zero_ns`` is the run's zero on this machine's clock, ``t0_ns`` is on the
        run's axis. Raises ResultsError."""
        owners = recorder.owners
        index = np.full(len(rows), NONE, np.int64)
        offset = rows.arrival_ns - (zero_ns + t0_ns)
        for flow in step.flows:
            if flow.process != CLOSED:
                mine = np.array([name == flow.name for name, _ in owners], np.bool_)[rows.tag]
                index[mine] = join_index(*self._owned(step, flow, leases), offset[mine])
        self._writer.add(_on_axis(rows, zero_ns), owners, index)

    def _owned(self, step: Step, flow: Flow, leases: Sequence[Lease]) -> tuple[Ints, Ints]:
        assert flow.rate is not None
        schedule = Schedule(flow.process, flow.rate, self._seed, f"{step.index}/{flow.name}")
        index, offset = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for lease in leases:
            arrivals = schedule.arrivals(lease.from_ns, lease.until_ns, lease.k, lease.n)
            index.append(arrivals.index)
            offset.append(arrivals.offset_ns)
        return np.concatenate(index), np.concatenate(offset)


def _on_axis(rows: RequestRows, zero_ns: int) -> RequestRows:
    """With the run's zero taken off all instants; 0 still stands for none."""
    return replace(
        rows,
        arrival_ns=rows.arrival_ns - zero_ns,
        sent_ns=np.where(rows.sent_ns == 0, 0, rows.sent_ns - zero_ns),
        done_ns=np.where(rows.done_ns == 0, 0, rows.done_ns - zero_ns),
    )
