"""Differences of counters: what has been counted since the last look, per second or as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triton_users.units import NS_PER_S

Counters = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Growth:
    """How much each counter grew in ``elapsed_ns``."""

    elapsed_ns: int
    by: dict[str, float]

    def per_second(self, name: str) -> float:
        return round(self.by[name] * NS_PER_S / self.elapsed_ns, 6)


class Growing:
    """Remembers the last counters of each of several things."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, Counters]] = {}

    def of(self, key: str, now_ns: int, counters: Counters) -> Growth | None:
        """None the first time, and when a counter went back: it was reset, so there is no difference."""
        last = self._last.get(key)
        self._last[key] = (now_ns, counters)
        if last is None or now_ns <= last[0]:
            return None
        by = {name: value - last[1].get(name, value) for name, value in counters.items()}
        return None if min(by.values(), default=0) < 0 else Growth(now_ns - last[0], by)
