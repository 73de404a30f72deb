"""One time axis: another host's clock against ours, from the echoes of messages; pure.

As in NTP (RFC 5905, section 8): of a message sent at s, answered at w on the other clock after h there, and
back at r, the offset is w − h / 2 − (s + r) / 2, wrong by at most half the round trip, which is r − s − h;
and by what the clocks have drifted since s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

ECHOES = 60
"""Echoes looked back on."""
DRIFT = 100e-6
"""What two clocks may gain on each other: each crystal's 50 ppm."""


class Echo(NamedTuple):
    """``error_ns`` is half of its round trip, and the drift until it was back, at ``at_ns``. ``rank``
    orders echoes by how wrong they are at any one time, for all grow worse at the same pace."""

    rank: float
    number: int
    at_ns: int
    offset_ns: int
    error_ns: int


@dataclass(slots=True)
class ClockSync:
    """Their clock minus ours, in ns, and how wrong that may be, as of the last echo."""

    _best: deque[Echo] = field(default_factory=deque)
    """Of the last ECHOES those that no later one beats, in order: the first is the best."""
    _count: int = 0
    offset_ns: int = 0
    uncertainty_ns: int | None = None
    """None while nothing is known."""

    def add(self, sent_ns: int, answered_ns: int, received_ns: int, held_ns: int = 0) -> None:
        """One echo: ``sent_ns`` and ``received_ns`` on our clock, ``answered_ns`` on theirs, when it had been
        there for ``held_ns``. One that ends before it begins is not believed."""
        trip = received_ns - sent_ns - held_ns
        if trip < 0:
            return
        error_ns = trip // 2 + round(DRIFT * (received_ns - sent_ns)) + 2
        rank = error_ns - DRIFT * received_ns
        echoes = self._best
        while echoes and echoes[-1].rank > rank:
            echoes.pop()
        offset_ns = answered_ns - (held_ns + sent_ns + received_ns) // 2
        echoes.append(Echo(rank, self._count, received_ns, offset_ns, error_ns))
        self._count += 1
        if echoes[0].number < self._count - ECHOES:
            echoes.popleft()
        best = echoes[0]
        self.offset_ns = best.offset_ns
        self.uncertainty_ns = best.error_ns + round(DRIFT * (received_ns - best.at_ns))

    @property
    def known(self) -> bool:
        return self.uncertainty_ns is not None
