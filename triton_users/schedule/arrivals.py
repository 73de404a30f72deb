"""Arrivals: a block of numbered instants at which requests are meant to be sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Three columns of one length, ascending by index; never one object per arrival.

    ``index`` (i8) numbers the arrivals of the whole schedule from 0, whoever owns them; ``offset_ns`` (i8)
    is relative to the step's t0; ``pick`` (f8, in [0, 1)) draws the class and the input of the request.
    """

    index: npt.NDArray[np.int64]
    offset_ns: npt.NDArray[np.int64]
    pick: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.index)
