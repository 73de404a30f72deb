"""Columns of numbers: one unit for a column, three significant digits, decimal points in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from triton_users import units

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit of time for a whole table, and how many decimals are worth showing in it."""

    unit: str
    ns: int
    decimals: int = 3

    def show(self, value_ns: float | None) -> str:
        """The number alone, in this unit."""
        if value_ns is None:
            return MISSING
        text = digits(value_ns / self.ns)
        return text if decimals_of(text) <= self.decimals else f"{value_ns / self.ns:.{self.decimals}f}"


SCALES = (Scale("µs", units.NS_PER_US), Scale("ms", units.NS_PER_MS), Scale("s", units.NS_PER_S))


def scale_for(values_ns: Iterable[float | None]) -> Scale:
    """The unit in which the middle one of the values reads best; the smallest gets three digits."""
    known = sorted(value for value in values_ns if value is not None)
    if not known:
        return SCALES[1]
    middle = known[len(known) // 2]
    fitting = [scale for scale in SCALES if middle >= scale.ns] or [SCALES[0]]
    # Below 10 s milliseconds stay: 1,420 beside 172 says more than 1.42 beside 0.172.
    scale = SCALES[1] if fitting[-1].unit == "s" and middle < 10 * units.NS_PER_S else fitting[-1]
    return replace(scale, decimals=decimals_of(digits(known[0] / scale.ns)))


def decimals_of(text: str) -> int:
    return len(text) - text.index(".") - 1 if "." in text else 0


def digits(value: float | None) -> str:
    """Three significant digits, all of a larger whole number: ``0.138``, ``15.2``, ``1,840``."""
    return MISSING if value is None else units.format_rate(value).removesuffix("/s")


def align(texts: Sequence[str]) -> list[str]:
    """All of one width, the points below each other; texts without a point end where it would stand."""
    ends = [decimals_of(text) + 1 if "." in text else 0 for text in texts]
    room = max(ends, default=0)
    padded = [text + " " * (room - end) for text, end in zip(texts, ends, strict=True)]
    width = max(map(len, padded), default=0)
    return [text.rjust(width) for text in padded]
