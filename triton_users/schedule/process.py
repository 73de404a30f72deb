"""What an arrival process is: a small class that makes any block of offsets from what was carried to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

BLOCK = 4096
"""Arrivals per block: a power of two, so that a block starts at a whole Philox counter."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where generation may begin: at block ``block``, with the state ``carry`` of its process.

    All arrivals before that block have offsets of at most ``before_ns`` (-1: there are none). The meaning of
    ``carry`` is the process's own.
    """

    block: int
    carry: int
    before_ns: int


START = Checkpoint(0, 0, -1)


class Process(Protocol):
    """One arrival process with its parameters bound. Pure: equal arguments give equal answers."""

    def block(self, number: int, carry: int) -> tuple[npt.NDArray[np.int64], int]:
        """The block's offsets (i8[BLOCK], ascending, ns from t0) and what to carry to the next block.

        Fewer than BLOCK offsets mean that the process ends there.
        """

    def seek(self, at_ns: int) -> Checkpoint | None:
        """The last checkpoint with ``before_ns`` < at_ns where arithmetic gives it; None: walk the blocks."""
