"""Durations counted in HdrHistogram's layout: 1 ns to 1 h, 3 significant digits, in vectors.

The layout has 2048 buckets of width 1 for 0 … 2047, then 1024 buckets for each further power of two, so a
bucket is at most 1/1024 as wide as its values are large. It is the layout of
HdrHistogram(1, 3_600_000_000_000, 3), and a property test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from triton_users.metrics import PERCENTILES
from triton_users.stats.window import Hist

SIGNIFICANT_DIGITS = 3
LOWEST_NS = 1
HIGHEST_NS = 3_600_000_000_000
BUCKETS = 33_792
"""(32 powers of two from 2048 to beyond 1 h, and one) × 1024."""

_HALF_BITS = 10
_HALF = 1 << _HALF_BITS

_MANTISSA_BITS = 52
_EXPONENT_BIAS = 1023
_FLOAT_SHIFT = _MANTISSA_BITS - _HALF_BITS
_FLOAT_BASE = (_EXPONENT_BIAS + _HALF_BITS - 1) << _HALF_BITS

_SQUARES_BITS = 63
_CHUNK = 1 << 20
_SPLIT_BITS = 21
_SPLIT_MASK = (1 << _SPLIT_BITS) - 1

THIN = 5
"""Fewer values than this above a percentile make it a matter of single requests."""


def bucket_index(values_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bucket of each value (i8[n] -> i8[n]); 0 <= value < 2^42 is the caller's to see to.

    A float64 already is what the layout wants: from 1024 on, the exponent and the upper ten bits of the
    mantissa, read as one integer, count the buckets. Values below 2^53 convert exactly.
    """
    bits = values_ns.astype(np.float64).view(np.int64)
    return np.where(values_ns < _HALF, values_ns, (bits >> _FLOAT_SHIFT) - _FLOAT_BASE)


def index_of(value_ns: int) -> int:
    """The bucket of one value, 0 <= value < 2^42: ``bucket_index`` without a vector."""
    power = max(value_ns.bit_length() - _HALF_BITS - 1, 0)
    return (power << _HALF_BITS) + (value_ns >> power)


def lowest_at(index: int) -> int:
    """The smallest value (ns) that falls into a bucket."""
    power = max((index >> _HALF_BITS) - 1, 0)
    return (index - (power << _HALF_BITS)) << power


def highest_at(index: int) -> int:
    """The largest value (ns) that falls into a bucket."""
    return lowest_at(index + 1) - 1


def exact_sums(values_ns: npt.NDArray[np.int64], largest: int) -> tuple[int, int]:
    """The sum and the sum of squares of 0 <= value <= largest < 2^42, exact at any length."""
    total = squares = 0
    for start in range(0, len(values_ns), _CHUNK):
        part = values_ns[start : start + _CHUNK]
        total += int(part.sum())
        if largest.bit_length() * 2 + len(part).bit_length() <= _SQUARES_BITS:
            squares += int(np.dot(part, part))
        else:  # (a·2^21 + b)² in three products, none of which outgrows int64 over a chunk
            high, low = part >> _SPLIT_BITS, part & _SPLIT_MASK
            squares += int(np.dot(high, high)) << (2 * _SPLIT_BITS)
            squares += int(np.dot(high, low)) << (_SPLIT_BITS + 1)
            squares += int(np.dot(low, low))
    return total, squares


class Accumulator:
    """``rows`` histograms that are being filled, side by side so that several take one pass."""

    __slots__ = ("_clamped", "_counts", "_flat", "_max", "_min", "_offsets", "_squares", "_sum", "_total")

    def __init__(self, rows: int = 1) -> None:
        self._counts = np.zeros((rows, BUCKETS), np.uint32)
        self._flat = self._counts.reshape(-1)
        self._offsets = BUCKETS * np.arange(rows).reshape(rows, 1)
        self._total, self._sum, self._squares, self._clamped = ([0] * rows for _ in range(4))
        self._min, self._max = [HIGHEST_NS] * rows, [0] * rows

    def add(self, values_ns: npt.NDArray[np.int64], row: int = 0) -> None:
        """Count values (ns): i8[n] in histogram ``row``, or i8[m, n] in that one and those that follow.
        Those outside 0 … HIGHEST_NS count as the nearer end and as clamped."""
        values_ns = np.atleast_2d(values_ns)
        count, length = values_ns.shape
        if not length:
            return
        smallest, largest = values_ns.min(axis=1).tolist(), values_ns.max(axis=1).tolist()
        if min(smallest) < 0 or max(largest) > HIGHEST_NS:
            outside = np.count_nonzero((values_ns < 0) | (values_ns > HIGHEST_NS), axis=1)
            values_ns = np.clip(values_ns, 0, HIGHEST_NS)
            smallest, largest = values_ns.min(axis=1).tolist(), values_ns.max(axis=1).tolist()
            for i, found in enumerate(outside.tolist(), row):
                self._clamped[i] += found
        at = bucket_index(values_ns) + self._offsets[row : row + count]
        np.add.at(self._flat, at.reshape(-1), np.uint32(1))
        for i, values in enumerate(values_ns):
            total, squares = exact_sums(values, largest[i])
            self._total[row + i] += length
            self._sum[row + i] += total
            self._squares[row + i] += squares
            self._min[row + i] = min(self._min[row + i], smallest[i])
            self._max[row + i] = max(self._max[row + i], largest[i])

    def cut(self, row: int = 0) -> Hist:
        """The values of one histogram since its last cut, sparse; it is empty again."""
        if not self._total[row]:
            return EMPTY
        first, last = index_of(self._min[row]), index_of(self._max[row])
        used = self._counts[row, first : last + 1]
        at = np.flatnonzero(used != 0)  # of truths it is four times as quick
        hist = Hist(
            (at + first).astype(np.uint16),
            used[at],
            self._total[row],
            self._sum[row],
            self._squares[row],
            self._min[row],
            self._max[row],
            self._clamped[row],
        )
        used[at] = 0
        self._total[row] = self._sum[row] = self._squares[row] = self._clamped[row] = self._max[row] = 0
        self._min[row] = HIGHEST_NS
        return hist


EMPTY = Hist(np.empty(0, np.uint16), np.empty(0, np.uint32), 0, 0, 0, 0, 0)


def from_values(values_ns: npt.NDArray[np.int64]) -> Hist:
    """The histogram of values (i8[n], ns)."""
    accumulator = Accumulator()
    accumulator.add(values_ns)
    return accumulator.cut()


def merge(hists: Iterable[Hist]) -> Hist:
    """The histogram of all values of all hists: exact up to 2^53 values, whatever the order."""
    parts = [hist for hist in hists if hist.total]
    if len(parts) <= 1:
        return parts[0] if parts else EMPTY
    # Far quicker than adding them up one by one; its sums are floats, which count to 2^53 without a gap.
    counts = np.bincount(
        np.concatenate([hist.index for hist in parts]),
        np.concatenate([hist.count for hist in parts], dtype=np.float64, casting="unsafe"),
    )
    at = np.flatnonzero(counts > 0)
    return Hist(
        at.astype(np.uint16),
        narrow_counts(counts[at].astype(np.uint64)),
        sum(hist.total for hist in parts),
        sum(hist.sum for hist in parts),
        sum(hist.sum_squares for hist in parts),
        min(hist.min for hist in parts),
        max(hist.max for hist in parts),
        sum(hist.clamped for hist in parts),
    )


def narrow_counts(
    counts: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.uint32] | npt.NDArray[np.uint64]:
    """Counts as u4, or as u8 where one has outgrown it."""
    if counts.itemsize > np.dtype(np.uint32).itemsize and counts.max(initial=0) > np.iinfo(np.uint32).max:
        return counts.astype(np.uint64)
    return counts.astype(np.uint32)


def _rank(count: int, q: float) -> int:
    """Which of ``count`` values, counted from 1 in ascending order, is the q-th percentile (HdrHistogram's
    rounding)."""
    if not 0 <= q <= 100:
        raise ValueError(f"a percentile lies in 0 … 100, not at {q!r}")
    return max(int(q * count / 100 + 0.5), 1)


def percentile(hist: Hist, q: float) -> int:
    """The q-th percentile (q in 0 … 100) in ns: the largest value of its bucket, at most the maximum.

    HdrHistogram's rule, with the exact maximum instead of its bucket; q = 0 is the exact minimum.
    Raises ValueError for an empty histogram and for q outside its range.
    """
    rank = _rank(hist.total, q)
    if not hist.total:
        raise ValueError("an empty histogram has no percentiles")
    if q == 0:
        return hist.min
    at = int(np.searchsorted(np.cumsum(hist.count, dtype=np.int64), rank))
    return min(highest_at(int(hist.index[at])), hist.max)


def is_thin(count: int, q: float) -> bool:
    """Whether fewer than five of ``count`` values rank above the q-th percentile."""
    return count - _rank(count, q) < THIN


def thin_percentiles(count: int) -> list[str]:
    """The names of those percentiles of ``count`` values that are thin; without a value there are none."""
    return [name for name, q in PERCENTILES.items() if count and is_thin(count, q)]


def mean(hist: Hist) -> float:
    """The exact mean in ns. Raises ValueError for an empty histogram."""
    if not hist.total:
        raise ValueError("an empty histogram has no mean")
    return hist.sum / hist.total


def stddev(hist: Hist) -> float:
    """The standard deviation of the values themselves (divisor n) in ns, from exact sums.

    Raises ValueError for an empty histogram.
    """
    if not hist.total:
        raise ValueError("an empty histogram has no standard deviation")
    return math.sqrt((hist.total * hist.sum_squares - hist.sum**2) / hist.total**2)
