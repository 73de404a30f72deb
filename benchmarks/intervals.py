"""Medians, their intervals, ratios and slopes: the statistics of the bench, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import fmean, median

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """The median of ``count`` values with the interval [low, high] that holds the true median.

    ``coverage`` is the confidence of the interval: 0.95 from six values on; with fewer the interval is
    the whole range and the coverage is what that range is worth.
    """

    median: float
    low: float
    high: float
    coverage: float
    count: int


def coverage(count: int, rank: int) -> float:
    """How surely the rank-th smallest and rank-th largest of ``count`` values enclose the true median.

    Each value is below the median with probability one half, whatever the distribution.
    """
    return 1.0 - 2.0 * sum(comb(count, below) for below in range(rank)) / 2.0**count


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Distribution-free interval of the median by order statistics.

    Seven rounds have no pair of order statistics with 95 % (the range has 98.4 %, the next pair 87.5 %),
    so the two neighbouring pairs are interpolated (Hettmansperger and Sheather, 1986, Statistics &
    Probability Letters 4, 75-79). A plain bootstrap would give about the 87.5 % pair here.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    ordered = sorted(values)
    count = len(ordered)
    if coverage(count, 1) < confidence:
        return Interval(median(ordered), ordered[0], ordered[-1], coverage(count, 1), count)
    rank = max(k for k in range(1, count // 2 + 1) if coverage(count, k) >= confidence)
    outer, inner = coverage(count, rank), coverage(count, rank + 1)
    share = (outer - confidence) / (outer - inner)
    weight = (count - rank) * share / (rank + (count - 2 * rank) * share)
    low = (1 - weight) * ordered[rank - 1] + weight * ordered[rank]
    high = (1 - weight) * ordered[count - rank] + weight * ordered[count - rank - 1]
    return Interval(median(ordered), low, high, confidence, count)


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> list[float]:
    """ours ÷ theirs, round by round; rounds in which either is missing (or theirs is 0) are left out."""
    pairs = zip(ours, theirs, strict=True)
    return [a / b for a, b in pairs if a is not None and b is not None and b > 0]


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope: units of y per unit of x."""
    if len(x) != len(y) or len(x) < 2:
        raise ValueError("a slope needs two points at least")
    x_mean, y_mean = fmean(x), fmean(y)
    spread = sum((a - x_mean) ** 2 for a in x)
    if spread == 0:
        raise ValueError("all points have the same x")
    return sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True)) / spread
