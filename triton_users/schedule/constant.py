"""Evenly spaced arrivals, without drift at any length."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from triton_users.schedule.process import BLOCK, START, Checkpoint
from triton_users.units import NS_PER_S

_INT64_MAX = 2**63 - 1


class Constant:
    """Arrival j at floor(j · 10^9 / rate), in integer arithmetic: the rate is taken as a fraction."""

    def __init__(self, rate: float) -> None:
        exact = Fraction(rate)
        # 0.1 and 1/3 mean one tenth and one third: the simplest fraction that is the same float.
        simple = exact.limit_denominator(1_000_000)
        period = NS_PER_S / (simple if float(simple) == rate else exact)
        self._up, self._down = period.numerator, period.denominator
        # Terms of a chunk stay below (chunk + 1) · denominator, and the denominator below 2^53.
        self._chunk = min(BLOCK, _INT64_MAX // self._down - 1)

    def block(self, number: int, carry: int) -> tuple[npt.NDArray[np.int64], int]:
        whole, part = divmod(self._up, self._down)
        offsets = np.empty(BLOCK, np.int64)
        for start in range(0, BLOCK, self._chunk):
            base, rest = divmod((number * BLOCK + start) * self._up, self._down)
            i = np.arange(min(self._chunk, BLOCK - start), dtype=np.int64)
            offsets[start : start + len(i)] = base + i * whole + (rest + i * part) // self._down
        return offsets, 0

    def seek(self, at_ns: int) -> Checkpoint:
        block = -(-at_ns * self._down // self._up) // BLOCK  # the first arrival at or after at_ns is in it
        if block <= 0:
            return START
        return Checkpoint(block, 0, (block * BLOCK - 1) * self._up // self._down)
