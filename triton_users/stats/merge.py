"""Series added up: exact, and the same in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields

from triton_users.stats.histogram import merge
from triton_users.stats.window import Hist, Series

COUNTERS = tuple(field.name for field in fields(Series) if field.name not in ("failed", "hists"))
"""Series' plain counters: their merge is the sum."""

_HELD = 32
"""Histograms are merged so many at a time: that costs some 3 µs each."""


class SeriesSum:
    """A growing sum of series, in bounded memory. ``hists`` names the histograms to add up; None: all."""

    __slots__ = ("_counters", "_failed", "_hists", "_wanted")

    def __init__(self, hists: Collection[str] | None = None) -> None:
        self._wanted = hists
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._failed: dict[str, int] = {}
        self._hists: dict[str, list[Hist]] = {}

    def add(self, series: Series) -> None:
        for name in COUNTERS:
            self._counters[name] += getattr(series, name)
        for status, count in series.failed.items():
            self._failed[status] = self._failed.get(status, 0) + count
        for name, hist in series.hists.items():
            if self._wanted is not None and name not in self._wanted:
                continue
            held = self._hists.setdefault(name, [])
            held.append(hist)
            if len(held) >= _HELD:
                held[:] = [merge(held)]

    def value(self) -> Series:
        for held in self._hists.values():
            held[:] = [merge(held)]
        return Series(
            **self._counters,
            failed=dict(sorted(self._failed.items())),
            hists={name: held[0] for name, held in sorted(self._hists.items())},
        )


def merge_series(series: Iterable[Series]) -> Series:
    """The sum of all; an empty Series of none."""
    total = SeriesSum()
    for one in series:
        total.add(one)
    return total.value()
