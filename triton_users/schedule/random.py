"""Random numbers by counter: any part of any stream can be made alone.

A stream's key is a digest of its name, so streams need no order among themselves; a number's place in the
stream is Philox's counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). Only raw
bits are taken from numpy, whose bit generators keep their output between versions; its distributions do not.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

WORDS_PER_COUNTER = 4
"""Philox-4x64 makes four 64-bit words of each counter value."""

GAP = "gap"
PICK = "pick"


def stream_key(purpose: str, seed: int, stream: str) -> int:
    """The 128-bit Philox key of one stream. Every integer is a seed, 0 too."""
    name = f"{purpose}\0{seed}\0{stream}".encode()
    return int.from_bytes(blake2b(name, digest_size=16).digest(), "little")


def uniforms(key: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """Numbers ``first`` … ``first + count - 1`` of a stream: f8[count] in [0, 1), multiples of 2^-53."""
    counter, skip = divmod(first, WORDS_PER_COUNTER)
    raw = np.random.Philox(counter=counter, key=key).random_raw(skip + count)
    upper: npt.NDArray[np.uint64] = raw[skip:] >> np.uint64(11)  # a float64 holds 53 bits
    return upper * 2.0**-53


def picks(seed: int, stream: str, from_index: int, count: int) -> npt.NDArray[np.float64]:
    """The picks (f8[count], in [0, 1)) of arrivals ``from_index`` … ``from_index + count - 1`` of a stream.

    Closed-loop workers draw from the same numbering by their own request numbers; their stream's name
    includes the worker.
    """
    return uniforms(stream_key(PICK, seed, stream), from_index, count)
