"""Stretches of time, half-open, in ns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


def without(one: Interval, others: Iterable[Interval]) -> Iterator[Interval]:
    """What the others, which ascend and do not overlap, leave of one."""
    start, end = one
    for other_start, other_end in others:
        if start < min(other_start, end):
            yield start, min(other_start, end)
        start = max(start, other_end)
    if start < end:
        yield start, end
