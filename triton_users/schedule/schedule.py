"""The one numbered schedule of a flow, and the part of it that a worker owns."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from triton_users.schedule.arrivals import Arrivals
from triton_users.schedule.constant import Constant
from triton_users.schedule.poisson import Poisson
from triton_users.schedule.process import BLOCK, START, Checkpoint, Process
from triton_users.schedule.random import PICK, picks, stream_key, uniforms
from triton_users.step import CONSTANT, POISSON

MARKS = 1024
"""Checkpoints kept by a schedule. One more, and every second one goes: a long run costs no memory, and
going back costs at most a walk over (blocks so far) / (MARKS / 2) blocks."""

MIN_RATE, MAX_RATE = 1e-6, 1e9
"""Requests per second: below, a block would not fit into 63 bits of nanoseconds; above, none are left."""

RECENT = 8
"""Blocks kept whole, so that consecutive short spans make no block twice."""


def _process(name: str, rate: float, seed: int, stream: str) -> Process:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"rate must be {MIN_RATE:g} to {MAX_RATE:g} requests per second, not {rate!r}")
    if name == CONSTANT:
        return Constant(rate)
    if name == POISSON:
        return Poisson(rate, seed, stream)
    raise ValueError(f"unknown arrival process {name!r}: {CONSTANT} or {POISSON}")


class Schedule:
    """All arrivals of one flow in one step: a pure function of (process, rate, seed, stream).

    ``process`` is step.CONSTANT or step.POISSON, ``rate`` is in requests per second, ``stream`` names the
    random streams and is "<step index>/<flow name>", so that flows and steps differ. What is kept inside
    only saves work: calls in any order, over any spans, give the same arrivals. A late joiner walks over what
    lies before, some 15 ns an arrival: half a second for an hour at 10,000/s, of the 1.5 s or more that its
    first lease is ahead.

    Raises ValueError for an unknown process or a rate outside MIN_RATE … MAX_RATE.
    """

    def __init__(self, process: str, rate: float, seed: int, stream: str) -> None:
        self._process = _process(process, rate, seed, stream)
        self._pick_key = stream_key(PICK, seed, stream)
        self._marks = [START]  # ascending by block
        self._stride = 1
        self._recent: OrderedDict[int, tuple[npt.NDArray[np.int64], int]] = OrderedDict()

    def arrivals(self, from_ns: int, until_ns: int, k: int = 0, n: int = 1) -> Arrivals:
        """The arrivals j with j mod n = k whose offsets fall in [from_ns, until_ns), ns relative to t0.

        Raises ValueError unless 0 <= k < n.
        """
        indices, offsets, drawn = [], [], []
        for first, part in self._owned(from_ns, until_ns, k, n):
            span = (len(part) - 1) * n + 1
            indices.append(np.arange(first, first + span, n, dtype=np.int64))
            offsets.append(part)
            drawn.append(uniforms(self._pick_key, first, span)[::n])
        if not indices:
            return Arrivals(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        return Arrivals(np.concatenate(indices), np.concatenate(offsets), np.concatenate(drawn))

    def count(self, from_ns: int, until_ns: int, k: int = 0, n: int = 1) -> int:
        """How many arrivals ``arrivals`` would give."""
        return sum(len(part) for _, part in self._owned(from_ns, until_ns, k, n))

    def _owned(
        self, from_ns: int, until_ns: int, k: int, n: int
    ) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """(index of the first, offsets) of the owned arrivals of the span, block by block, none empty."""
        if not 0 <= k < n:
            raise ValueError(f"worker {k} of {n}: 0 <= k < n must hold")
        if until_ns <= max(from_ns, 0):
            return
        for number, offsets, _ in self._blocks(self._mark_before(from_ns)):
            low, high = (int(i) for i in np.searchsorted(offsets, (from_ns, until_ns)))
            low += (k - number * BLOCK - low) % n
            if low < high:
                yield number * BLOCK + low, offsets[low:high:n]
            if high < BLOCK:
                return

    def _blocks(self, mark: Checkpoint) -> Iterator[tuple[int, npt.NDArray[np.int64], int]]:
        """(number, offsets, carry for the next) of the blocks from a checkpoint on."""
        number, carry = mark.block, mark.carry
        while True:
            found = self._recent.pop(number, None)
            offsets, carry = self._process.block(number, carry) if found is None else found
            self._recent[number] = offsets, carry
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
            yield number, offsets, carry
            if len(offsets) < BLOCK:
                return
            number += 1
            self._mark(Checkpoint(number, carry, int(offsets[-1])))

    def _mark_before(self, at_ns: int) -> Checkpoint:
        """A checkpoint that has all arrivals at or after at_ns ahead of it.

        Strictly before: equal offsets may lie on both sides of a block's border.
        """
        at_ns = max(at_ns, 0)
        sought = self._process.seek(at_ns)
        if sought is not None:
            return sought
        return self._marks[bisect_left(self._marks, at_ns, key=lambda mark: mark.before_ns) - 1]

    def _mark(self, mark: Checkpoint) -> None:
        """Remember how far we have come, and a bounded number of places on the way."""
        last = self._marks[-1]
        if mark.block <= last.block:
            return
        if last.block % self._stride:
            self._marks[-1] = mark  # only the newest may lie between strides
        else:
            self._marks.append(mark)
        if len(self._marks) > MARKS:
            self._stride *= 2
            self._marks = [m for m in self._marks[:-1] if m.block % self._stride == 0] + [mark]


def fingerprint(seed: int) -> str:
    """A digest of the first block of gaps and picks: equal where the same schedules are made.

    Workers send it, so that library versions or processors that would give another schedule are refused.
    """
    gaps = Poisson(1000.0, seed, "fingerprint").gaps(0)
    drawn = picks(seed, "fingerprint", 0, BLOCK)
    return blake2b(gaps.astype("<i8").tobytes() + drawn.astype("<f8").tobytes(), digest_size=16).hexdigest()
