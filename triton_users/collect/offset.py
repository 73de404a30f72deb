"""Another host's clock against ours, from echoes: the fastest echo knows best."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

KEPT = 16
"""Echoes looked back on: their clocks drift apart by microseconds a second."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Their clock is ours plus ``ns``, within ``uncertainty_ns`` either way."""

    ns: int
    uncertainty_ns: int


class Echoes:
    """Another host's clock against ours, from questions and answers; the shortest trip counts."""

    def __init__(self) -> None:
        self._offsets: deque[Offset] = deque(maxlen=KEPT)

    def add(self, sent_ns: int, theirs_ns: int, received_ns: int) -> None:
        """Asked and heard at ``sent_ns`` and ``received_ns`` of our clock; they answered at ``theirs_ns``."""
        half = (received_ns - sent_ns + 1) // 2
        self._offsets.append(Offset(theirs_ns - (sent_ns + half), half))

    @property
    def best(self) -> Offset | None:
        return min(self._offsets, key=lambda offset: offset.uncertainty_ns, default=None)
