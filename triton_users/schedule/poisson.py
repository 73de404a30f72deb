"""Independent arrivals: exponential gaps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triton_users.schedule.process import BLOCK, Checkpoint
from triton_users.schedule.random import GAP, stream_key, uniforms
from triton_users.units import NS_PER_S


class Poisson:
    """Gaps by inversion, -ln(1 - u) / rate, each rounded to whole nanoseconds before they are added up.

    Sums of integers are exact in any order. Processors whose logarithms differ in the last bit would
    otherwise give different sums; a rounded gap differs once in about 10^10.
    """

    def __init__(self, rate: float, seed: int, stream: str) -> None:
        self._mean_ns = NS_PER_S / rate
        self._key = stream_key(GAP, seed, stream)

    def gaps(self, number: int) -> npt.NDArray[np.int64]:
        """The gaps before each arrival of a block, in ns (i8[BLOCK]); gap 0 counts from t0."""
        u = uniforms(self._key, number * BLOCK, BLOCK)
        gaps: npt.NDArray[np.float64] = np.rint(np.log1p(-u) * -self._mean_ns)
        return gaps.astype(np.int64)

    def block(self, number: int, carry: int) -> tuple[npt.NDArray[np.int64], int]:
        """``carry`` is the offset of the last arrival before the block."""
        offsets = np.cumsum(self.gaps(number)) + carry
        return offsets, int(offsets[-1])

    def seek(self, at_ns: int) -> Checkpoint | None:
        return None
