"""Recorder: the one place where the ends of a worker's requests become numbers.

The calls on the hot path append, and nothing else. ``fold`` turns what has come into counters and histograms
in vectors; ``cut`` hands out the window. Nothing here reads a clock: every instant is given.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from triton_users.stats.cell import Cell
from triton_users.stats.histogram import Accumulator
from triton_users.stats.messages import Messages
from triton_users.stats.request_log import STATUS_CODES, Saver, status_code
from triton_users.stats.trials import NO_TRIAL, TrialAxis
from triton_users.stats.window import Key, Series
from triton_users.step import RequestClass, Step

Ticket = tuple[int, int, int]
"""(arrival_ns, sent_ns, tag); all times of a recorder are absolute, on the worker's monotonic clock."""

Ints = npt.NDArray[np.int64]
Rows = slice | Ints
_ALL = slice(None)


class Recorder:
    """``threshold_ns`` is the latency budget that makes a completion good; ``saver`` gets every request."""

    def __init__(self, threshold_ns: int | None = None, saver: Saver | None = None) -> None:
        self._threshold = threshold_ns
        self._saver = saver
        self._tags: dict[tuple[str, RequestClass], int] = {}
        self._owners: list[tuple[str, RequestClass]] = []
        self._axis = TrialAxis(None, 0)
        self._cells: dict[tuple[int, int], Cell] = {}
        self._pool: list[Accumulator] = []
        self._messages = Messages()
        # What has come since the last fold. No instant and no tag is negative, and an array of unsigned longs
        # (64 bits wherever this runs) takes an int at half of the price of "q", which parses an argument.
        self._tickets = array("L")  # flat: three numbers each
        self._sizes = array("L")
        self._ends = array("L")
        self._failures: list[tuple[Ticket, str, str, int, bool]] = []
        self._counted: dict[str, list[tuple[Ints | int, Ints | Sequence[int]]]] = {
            "scheduled": [],
            "dropped": [],
            "lost": [],
        }
        self._scheduled = self._counted["scheduled"]
        self._unplanned = Counter[tuple[str, int]]()
        self._lost_between: tuple[int, int] | None = None
        self._folded = 0

    def tag(self, flow: str, cls: RequestClass) -> int:
        """The small integer that stands for a flow's class in tickets; the same for the recorder's life."""
        owner = (flow, cls)
        tag = self._tags.setdefault(owner, len(self._owners))
        if tag == len(self._owners):
            self._owners.append(owner)
        return tag

    @property
    def owners(self) -> list[tuple[str, RequestClass]]:
        """(flow, class) by tag."""
        return self._owners

    def begin(self, step: Step, t0_ns: int) -> None:
        """A step starts at ``t0_ns``. Before the first step everything belongs to the warm-up.

        Raises RuntimeError when the last step's numbers were folded and not cut: they would get its trials.
        """
        if self._cells:
            raise RuntimeError("a step began before the last one's window was cut")
        self._axis = TrialAxis(step, t0_ns)

    def stop(self, at_ns: int) -> None:
        """The step was stopped: what comes from ``at_ns`` on counts to no trial."""
        self.fold()
        self._axis.stop(at_ns)

    # The hot path: these append

    def scheduled(self, arrival_ns: Ints | int, tags: Ints | Sequence[int]) -> None:
        """Arrivals of the schedule that have come due (i8[n], tags of one length); an int: all at once now.

        Arrays and lists are handed over here and below: the caller does not change them afterwards.
        """
        self._scheduled.append((arrival_ns, tags))

    def done(self, tickets: Sequence[Ticket], now_ns: int) -> None:
        """Requests that succeeded, all at one instant.

        Their numbers are copied here, where they are in the processor's cache; at the fold they are not.
        """
        self._tickets.extend(tickets[0] if len(tickets) == 1 else chain.from_iterable(tickets))
        self._sizes.append(len(tickets))
        self._ends.append(now_ns)

    def failed(self, ticket: Ticket, status: str, message: str, now_ns: int, sent: bool = True) -> None:
        """A request that failed, by gRPC status name or one of ours; ``sent`` False: never sent."""
        self._failures.append((ticket, status, message, now_ns, sent))

    def dropped(self, arrival_ns: Ints | int, tags: Ints | Sequence[int]) -> None:
        """Arrivals never sent because the in-flight cap was full."""
        self._counted["dropped"].append((arrival_ns, tags))

    def lost(self, arrival_ns: Ints | int, tags: Ints | Sequence[int]) -> None:
        """Arrivals never sent because this generator missed them."""
        self._counted["lost"].append((arrival_ns, tags))

    # Ten times a second

    @property
    def unfolded(self) -> int:
        """Requests that have ended since the last fold."""
        return len(self._tickets) // 3 + len(self._failures)

    @property
    def ended(self) -> int:
        """Requests that have ended so far."""
        return self._folded + self.unfolded

    def unplanned(self, flow: str, arrival_ns: Ints) -> None:
        """Of those scheduled (i8[n]), requests that no arrival of the schedule stands for."""
        self._unplanned.update((flow, trial) for trial in self._axis.trials(arrival_ns).tolist())

    def fold(self) -> None:
        """Turn what has come into numbers."""
        self._folded += self.unfolded
        for name, blocks in self._counted.items():
            if blocks:
                self._fold_counted(name, blocks)
                blocks.clear()
        if self._failures:
            self._fold_failures()
            self._failures.clear()
        if self._tickets:
            self._fold_done()

    def cut(self) -> tuple[dict[Key, Series], tuple[tuple[str, str, int], ...]]:
        """Fold all, and hand out what has come since the last cut: the series and the error messages."""
        self.fold()
        series = {}
        for (tag, trial), cell in self._cells.items():
            flow, cls = self._owners[tag]
            series[Key(flow, cls, trial)] = cell.cut(cls.batch_size)
        self._cells.clear()
        return series, self._messages.cut()

    def cut_unplanned(self) -> tuple[tuple[str, int, int], ...]:
        """(flow, trial, count) since the last time."""
        found = tuple((flow, trial, count) for (flow, trial), count in sorted(self._unplanned.items()))
        self._unplanned.clear()
        return found

    def cut_lost_between(self) -> tuple[int, int] | None:
        """The first and the last arrival lost since the last time."""
        found, self._lost_between = self._lost_between, None
        return found

    def _cell(self, tag: int, trial: int) -> Cell:
        cell = self._cells.get((tag, trial))
        if cell is None:
            cell = self._cells[tag, trial] = Cell(self._pool)
        return cell

    def _fold_done(self) -> None:
        arrival, sent, tag = np.array(self._tickets, np.int64).reshape(-1, 3).T
        done = np.repeat(np.array(self._ends, np.int64), np.array(self._sizes, np.int64))
        count = len(done)
        for held in (self._tickets, self._sizes, self._ends):
            del held[:]
        durations = np.empty((3, count), np.int64)
        np.subtract(done, arrival, out=durations[0])
        np.subtract(done, sent, out=durations[1])
        np.subtract(sent, arrival, out=durations[2])
        axis = self._axis
        trial = _trials(arrival, axis)
        rate_trial = _trials(done, axis)
        for (of, at, rate_at), rows in _groups(tag, trial, rate_trial):
            mine = durations[:, rows]
            self._cell(of, at).add_ok(mine)
            if rate_at != NO_TRIAL:
                cell = self._cell(of, rate_at)
                cell.completed += mine.shape[1]
                if self._threshold is not None:
                    cell.good += int(np.count_nonzero(mine[0] <= self._threshold))
        if self._saver is not None:
            self._saver.add(arrival, sent, done, np.zeros(count, np.uint8), tag)

    def _fold_failures(self) -> None:
        failures = self._failures
        count = len(failures)
        tickets = chain.from_iterable(f[0] for f in failures)
        arrival, sent, tag = np.fromiter(tickets, np.int64, 3 * count).reshape(count, 3).T
        done = np.fromiter((f[3] for f in failures), np.int64, count)
        was_sent = np.fromiter((f[4] for f in failures), np.bool_, count)
        trial = _trials(arrival, self._axis)
        for (of, at), rows in _groups(tag, trial):
            cell = self._cell(of, at)
            mine = failures if isinstance(rows, slice) else [failures[i] for i in rows.tolist()]
            status: dict[str, int] = {}
            for _, name, _, _, _ in mine:
                status[name] = status.get(name, 0) + 1
            tried = was_sent[rows]
            cell.add_failed((done - arrival)[rows], (sent - arrival)[rows][tried], status)
        for _, name, message, _, _ in failures:
            self._messages.add(name, message)
        if self._saver is not None:
            codes = np.fromiter((status_code(f[1]) for f in failures), np.uint8, count)
            self._saver.add(arrival, np.where(was_sent, sent, 0), done, codes, tag)

    def _fold_counted(self, name: str, blocks: list[tuple[Ints | int, Ints | Sequence[int]]]) -> None:
        tag = np.concatenate([tags if isinstance(tags, np.ndarray) else _ints(tags) for _, tags in blocks])
        if not len(tag):
            return
        if all(isinstance(at, int) for at, _ in blocks):
            at_once = np.fromiter((at for at, _ in blocks), np.int64, len(blocks))
            arrival = np.repeat(at_once, [len(tags) for _, tags in blocks])
        else:
            arrival = np.concatenate(
                [np.full(len(tags), at, np.int64) if isinstance(at, int) else at for at, tags in blocks]
            )
        if name == "lost":
            times = [int(arrival.min()), int(arrival.max()), *(self._lost_between or ())]
            self._lost_between = min(times), max(times)
        trial = _trials(arrival, self._axis)
        for (of, at), rows in _groups(tag, trial):
            self._cell(of, at).counts[name] += len(tag[rows])
        if self._saver is not None and name != "scheduled":
            never = np.zeros(len(tag), np.int64)
            codes = np.full(len(tag), STATUS_CODES[name.upper()], np.uint8)
            self._saver.add(arrival, never, never, codes, tag)


def _ints(numbers: Sequence[int]) -> Ints:
    return np.array(numbers, np.int64)


def _trials(at_ns: Ints, axis: TrialAxis) -> int | Ints:
    """The trial of each instant (i8[n], not empty), or the one number where it is the same for all.

    Trials do not go down and up again as time goes on, so the first and the last instant tell.
    """
    trial = axis.trial(int(at_ns.min()))
    return trial if trial == axis.trial(int(at_ns.max())) else axis.trials(at_ns)


def _groups(tag: Ints, *trials: int | Ints) -> Iterator[tuple[tuple[int, ...], Rows]]:
    """((tag, trial…), rows) of each combination that occurs; rows in their order. ``tag`` is not empty."""
    first = int(tag[0])
    columns = (tag if np.any(tag != first) else first, *trials)
    varying = [column for column in columns if isinstance(column, np.ndarray)]
    if not varying:  # nearly always: one class, and no border between trials
        yield tuple(int(column) for column in columns), _ALL
        return
    order = np.lexsort(varying)
    new = np.zeros(len(tag) - 1, np.bool_)
    for column in varying:
        new |= np.diff(column[order]) != 0
    for rows in np.split(order, np.flatnonzero(new) + 1):
        at = rows[0]
        yield tuple(int(column[at]) if isinstance(column, np.ndarray) else column for column in columns), rows
