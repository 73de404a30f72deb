"""Room for a load that shares this process: what a second asks for is done piece by piece."""

from __future__ import annotations

import gevent
from gevent.event import Event

from triton_users.clock import now_ns
from triton_users.engine import spare

PAUSE_S = 0.004
"""Long enough for the load to catch up with a piece of half a millisecond."""
MOST_S = 0.05
"""Longer than a piece has to wait for a gap."""


def beside_load() -> None:
    """Wait for a gap in the load. A sleep of 0 would not do: gevent runs what is ready for 5 ms before it
    looks at sockets and timers."""
    gevent.sleep(PAUSE_S)
    gap = Event()
    spare.ask(gap.set, now_ns())
    gap.wait(MOST_S)


def alone() -> None:
    """Only other greenlets have their turn."""
    gevent.sleep(0)
