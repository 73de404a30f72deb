"""Conversions between what people write and the integers used inside, in one place.

Inside, durations are integer nanoseconds, sizes are integer bytes and rates are floats per second.
Every ``parse_*`` raises ValueError with a sentence that quotes the text and says what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

MAX_RANGE_VALUES = 10_000
"""A range with more values than this is a slip of the hand, not a plan."""

_NS_PER_UNIT = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,  # the micro sign
    "μs": NS_PER_US,  # the Greek letter, which looks the same
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_BYTES_PER_UNIT = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-zµμ]+)\s*", re.ASCII)
_PLAIN = re.compile(rf"(?:{_NUMBER})(?:[eE][+-]?\d{{1,2}})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestRate:
    """A rate to offer: ``value`` requests per second or, with ``percent``, that many percent of the best
    request rate measured before in the same run."""

    value: float
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.value:g} % of the best rate" if self.percent else format_rate(self.value)


def parse_duration(text: str, bare_unit: str = "s") -> int:
    """Nanoseconds of ``5s``, ``500ms``, ``1.5m``, ``1h30m``; a bare number is in ``bare_unit``.

    Units: ns, us (or µs), ms, s, m (or min), h. Below a nanosecond it is rounded. Raises ValueError.
    """
    stripped = text.strip()
    if _PLAIN.fullmatch(stripped):
        return round(Fraction(stripped) * _NS_PER_UNIT[bare_unit])
    total, position = Fraction(0), 0
    while match := _PART.match(stripped, position):
        if match[2] not in _NS_PER_UNIT:
            break
        total += Fraction(match[1]) * _NS_PER_UNIT[match[2]]
        position = match.end()
    if not stripped or position < len(stripped):
        raise ValueError(
            f"{text!r} is not a duration: a number with ns, us, ms, s, m or h, such as 500ms or 5s"
        )
    return round(total)


def parse_bytes(text: str) -> int:
    """Bytes of ``4096``, ``1.8MB`` (powers of 1000) or ``256MiB`` (powers of 1024). Raises ValueError."""
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([a-zA-Z]*)\s*", text, re.ASCII)
    unit = match[2].lower() if match else ""
    if not match or (unit and unit not in _BYTES_PER_UNIT):
        raise ValueError(f"{text!r} is not a size: a number of bytes, or with kB, MB, GB, KiB, MiB or GiB")
    return round(Fraction(match[1]) * _BYTES_PER_UNIT.get(unit, 1))


def parse_int(text: str) -> int:
    """A whole number, not negative. Raises ValueError."""
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII):
        raise ValueError(f"{text.strip()!r} is not a whole number")
    return int(text)


def parse_number(text: str) -> Decimal:
    """A finite number, not negative, kept exact. Raises ValueError."""
    if not _PLAIN.fullmatch(text.strip()):
        raise ValueError(f"{text.strip()!r} is not a number")
    return Decimal(text.strip())


def parse_int_range(text: str) -> tuple[int, ...]:
    """``1:11:2`` (start:end:step, the end included), ``1:4`` (step 1), ``8`` or ``1,4,16``, also mixed.

    The values stand in the order in which they were written. Raises ValueError.
    """
    return tuple(int(value) for value in _range(text, lambda item: Decimal(parse_int(item))))


def parse_float_range(text: str) -> tuple[float, ...]:
    """As ``parse_int_range``, for decimal numbers; ``0.1:0.3:0.1`` is exactly 0.1, 0.2, 0.3."""
    return tuple(float(value) for value in _range(text, parse_number))


def parse_rates(text: str) -> tuple[RequestRate, ...]:
    """Rates per second as ``parse_float_range`` reads them; items with a percent sign (``50%``,
    ``50%:90%:20%``) are shares of the best rate measured before. Raises ValueError."""
    rates: list[RequestRate] = []
    for item in text.split(","):
        percent = "%" in item
        if percent and not re.fullmatch(r"[^:%]+%(:[^:%]+%)*", item.strip()):
            raise ValueError(f"{item.strip()!r}: write the percent sign after each number, as in 50%:90%:20%")
        rates += [RequestRate(float(value), percent) for value in _range(item.replace("%", ""), parse_number)]
    _refuse_twice(text, rates)
    return tuple(rates)


def _range(text: str, parse: Callable[[str], Decimal]) -> list[Decimal]:
    values: list[Decimal] = []
    for item in text.split(","):
        parts = [parse(part) for part in item.split(":")]
        if len(parts) == 1:
            values += parts
            continue
        if len(parts) > 3:
            raise ValueError(f"{item.strip()!r} is not a range: write start:end or start:end:step")
        start, end, step = (*parts, Decimal(1))[:3]
        if step == 0:
            raise ValueError(f"{item.strip()!r}: the step is 0")
        if end < start:
            raise ValueError(f"{item.strip()!r}: the end {end} lies before the start {start}")
        count = int((end - start) / step) + 1
        if count > MAX_RANGE_VALUES:
            raise ValueError(
                f"{item.strip()!r} has {count:,} values; at most {MAX_RANGE_VALUES:,} are measured"
            )
        values += [start + step * i for i in range(count)]
    _refuse_twice(text, values)
    return values


def _refuse_twice(text: str, values: Sequence[Decimal | RequestRate]) -> None:
    seen: set[Decimal | RequestRate] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"{text.strip()!r}: {value} stands in it twice")
        seen.add(value)


def format_duration(ns: float) -> str:
    """For people: three significant digits (``172 ms``, ``1.42 s``, ``138 µs``), exact multiples bare
    (``5 s``), from two minutes on in two parts (``3 min 20 s``, ``1 h 05 min``)."""
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns >= 120 * NS_PER_S:
        return _long_duration(round(ns / NS_PER_S))
    for unit, size in (("ns", 1), ("µs", NS_PER_US), ("ms", NS_PER_MS)):
        if ns / size < 999.5:
            return f"{_three_digits(ns / size)} {unit}"
    return f"{_three_digits(ns / NS_PER_S)} s"


def _long_duration(seconds: int) -> str:
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s" if seconds % 60 else f"{seconds // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min" if minutes % 60 else f"{minutes // 60:,} h"


def format_rate(per_second: float) -> str:
    """For people: ``25.0/s``, ``0.500/s``, ``1,840/s``; all digits of the whole number from 1,000 on."""
    return f"{_three_digits(per_second, bare=False)}/s"


def format_count(count: int) -> str:
    """``1,234,567``."""
    return f"{count:,}"


def format_bytes(size: float) -> str:
    """For people, in powers of 1024: ``512 B``, ``1.72 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 999.5:
            return f"{_three_digits(size)} {unit}"
        size /= 1024
    return f"{_three_digits(size)} GiB"


def format_percent(ratio: float) -> str:
    """``0.0123`` is ``1.23 %``."""
    return f"{_three_digits(100 * ratio)} %"


def _three_digits(value: float, bare: bool = True) -> str:
    if value == 0 or (bare and value == int(value)):
        return f"{int(value):,}"
    if value < 0.001:
        return f"{value:.3g}"
    # Round first, so that 9.996 is shown as 10.0 and not as 10.00.
    rounded = float(f"{value:.3g}") if value < 999.5 else round(value)
    for limit, digits in ((1, 3), (10, 2), (100, 1)):
        if rounded < limit:
            return f"{rounded:.{digits}f}"
    return f"{rounded:,.0f}"
