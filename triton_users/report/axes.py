"""Axes of a plot: where a value lies in pixels, and which ticks to draw."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 5.0)
"""Mantissas of ticks that people read easily."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps ``low`` … ``high`` to the pixels ``start`` … ``end``, linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def linear_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """From zero to a round value above the largest."""
    largest = max(values, default=0.0) or 1.0
    step = _nice(largest / 5)
    return Axis(0.0, math.ceil(largest * 1.04 / step) * step, start, end)


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """From a round value below the smallest to one above the largest; all values must be positive."""
    known = [value for value in values if value > 0] or [1.0]
    low, high = _round_down(min(known) * 0.95), _round_up(max(known) * 1.05)
    return Axis(low, high, start, end, log=True)


def linear_ticks(low: float, high: float) -> list[float]:
    """About five round values."""
    step = _nice((high - low) / 5)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 in each power of ten; over more than three of them only the powers."""
    steps = STEPS if high / low <= 1000 else STEPS[:1]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def _nice(value: float) -> float:
    """The nearest of 1, 2, 5 × a power of ten from ``value`` up."""
    return _round_up(value)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (*STEPS, 10.0) if step * power >= value * (1 - 1e-9))


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in reversed(STEPS) if step * power <= value * (1 + 1e-9))
