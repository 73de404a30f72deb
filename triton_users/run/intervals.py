"""Stretches of time, half-open, in ns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """In order, those that touch as one."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(one: Interval, others: Iterable[Interval]) -> Iterator[Interval]:
    """What the others, which ascend and do not overlap, leave of one."""
    start, end = one
    for other_start, other_end in others:
        if start < min(other_start, end):
            yield start, min(other_start, end)
        start = max(start, other_end)
    if start < end:
        yield start, end
