"""Histograms to and from the HdrHistogram interchange format, by the ``hdrhistogram`` package."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdrh.histogram import HdrHistogram

from triton_users.stats.histogram import (
    BUCKETS,
    EMPTY,
    HIGHEST_NS,
    LOWEST_NS,
    SIGNIFICANT_DIGITS,
    lowest_at,
    narrow_counts,
)
from triton_users.stats.window import Hist


def to_hdrh(hist: Hist) -> Any:
    """An ``HdrHistogram(1, 3_600_000_000_000, 3)`` with the same counts, minimum and maximum."""
    theirs = HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    if hist.total:
        np.frombuffer(theirs.counts, np.uint64)[hist.index] = hist.count
        theirs.total_count = hist.total
        theirs.min_value = hist.min
        theirs.max_value = hist.max
    return theirs


def from_hdrh(theirs: Any) -> Hist:
    """The counts of an HdrHistogram of our layout.

    The format carries counts alone, so the sums are those of the buckets' middles. Raises ValueError for
    another layout.
    """
    if theirs.counts_len != BUCKETS or theirs.unit_magnitude or theirs.sub_bucket_half_count != 1024:
        raise ValueError(
            f"the histogram's layout is not ({LOWEST_NS}, {HIGHEST_NS}, {SIGNIFICANT_DIGITS}): "
            f"({theirs.lowest_trackable_value}, {theirs.highest_trackable_value}, "
            f"{theirs.significant_figures})"
        )
    counts = np.frombuffer(theirs.counts, np.uint64)
    at = np.flatnonzero(counts)
    if not len(at):
        return EMPTY
    found = [int(n) for n in counts[at]]
    middles = [(lowest_at(i) + lowest_at(i + 1)) // 2 for i in at.tolist()]
    return Hist(
        at.astype(np.uint16),
        narrow_counts(counts[at]),
        sum(found),
        sum(n * value for n, value in zip(found, middles, strict=True)),
        sum(n * value * value for n, value in zip(found, middles, strict=True)),
        int(theirs.min_value),
        int(theirs.max_value),
    )


def encode(hist: Hist) -> str:
    """The histogram in the compressed V2 interchange format, base64: one field of a line of latency.hlog."""
    return str(to_hdrh(hist).encode(), "ascii")


def decode(text: str) -> Hist:
    """The histogram of an encoded one; see from_hdrh for what the format does not carry."""
    return from_hdrh(HdrHistogram.decode(text))
