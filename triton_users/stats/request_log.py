"""The requests themselves, one row each, for --save-requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

GRPC_STATUS = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By number: https://grpc.github.io/grpc/core/md_doc_statuscodes.html"""

STATUS_CODES = {name: code for code, name in enumerate(GRPC_STATUS)}
STATUS_CODES |= {"NO_ANSWER": 100, "DROPPED": 101, "LOST": 102, "NO_REQUEST": 103}
OTHER = 255
"""A status without a code of its own."""


def status_code(name: str) -> int:
    """One byte for a status name: gRPC's numbers, ours from 100 on."""
    return STATUS_CODES.get(name, OTHER)


@dataclass(frozen=True, slots=True, eq=False)
class RequestRows:
    """Columns of one length. Times (i8) are absolute, on the generator's clock; ``sent_ns`` and ``done_ns``
    are 0 where a request was never sent (``done_ns`` is the instant of refusal for one without a connection).
    ``status`` (u1) is a status_code, ``tag`` (u2) one of the recorder's."""

    arrival_ns: npt.NDArray[np.int64]
    sent_ns: npt.NDArray[np.int64]
    done_ns: npt.NDArray[np.int64]
    status: npt.NDArray[np.uint8]
    tag: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.arrival_ns)


class Saver(Protocol):
    """Called by the recorder's fold, with arrays that stay as they are. Must not block."""

    def add(
        self,
        arrival_ns: npt.NDArray[np.int64],
        sent_ns: npt.NDArray[np.int64],
        done_ns: npt.NDArray[np.int64],
        status: npt.NDArray[np.uint8],
        tag: npt.NDArray[np.int64],
    ) -> None:
        """Rows of requests that ended, were dropped or were lost, in no order."""


_COLUMNS = (np.int64, np.int64, np.int64, np.uint8, np.uint16)


class RequestLog:
    """A Saver in memory: 27 bytes a request."""

    def __init__(self) -> None:
        self._chunks: list[tuple[npt.NDArray[np.int64 | np.uint8 | np.uint16], ...]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(
        self,
        arrival_ns: npt.NDArray[np.int64],
        sent_ns: npt.NDArray[np.int64],
        done_ns: npt.NDArray[np.int64],
        status: npt.NDArray[np.uint8],
        tag: npt.NDArray[np.int64],
    ) -> None:
        columns = (arrival_ns, sent_ns, done_ns, status, tag)
        # Copies: a view would keep the whole fold's array alive.
        self._chunks.append(tuple(np.array(c, t) for c, t in zip(columns, _COLUMNS, strict=True)))
        self._rows += len(arrival_ns)

    def cut(self) -> RequestRows:
        """All rows since the last cut, by arrival; they are forgotten here."""
        chunks, self._chunks, self._rows = self._chunks, [], 0
        arrival, sent, done, status, tag = (
            np.concatenate([np.empty(0, dtype), *(chunk[i] for chunk in chunks)], dtype=dtype)
            for i, dtype in enumerate(_COLUMNS)
        )
        order = np.argsort(arrival, kind="stable")
        return RequestRows(arrival[order], sent[order], done[order], status[order], tag[order])


def join_index(
    index: npt.NDArray[np.int64], offset_ns: npt.NDArray[np.int64], arrival_ns: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The schedule's number of each arrival: i8[m], -1 where the schedule has none at that instant.

    ``index`` and ``offset_ns`` (i8[n], ascending) are a flow's arrivals, ``arrival_ns`` (i8[m], any order)
    the rows of that flow, on the same axis: subtract t0 from absolute times first. Rows of one instant get
    its numbers one each; which gets which is of no matter.
    """
    order = np.argsort(arrival_ns, kind="stable")
    sought = arrival_ns[order]
    rank = np.arange(len(sought)) - np.searchsorted(sought, sought)  # among the rows of the same instant
    at = np.searchsorted(offset_ns, sought) + rank
    known = at < len(index)
    known[known] = offset_ns[at[known]] == sought[known]
    joined = np.full(len(sought), -1, np.int64)
    joined[order[known]] = index[at[known]]
    return joined
