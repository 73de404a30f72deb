"""Ctrl-C and SIGTERM, taken between two pieces of work.

Python's own Ctrl-C raises KeyboardInterrupt wherever the process happens to be: in the middle of booking an
answer, which would then never be booked. Here a signal is an event of the loop like any other.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def listen(came: Callable[[str], None]) -> None:
    """Call ``came`` with the signal's name, in a greenlet of its own, for each signal from now on."""
    for number, name in NAMES.items():
        gevent.signal_handler(number, gevent.spawn, came, name)


def raise_in_main(error: BaseException) -> None:
    """Let the main greenlet, which waits for something, have ``error`` instead."""
    hub = gevent.get_hub()
    hub.loop.run_callback(hub.parent.throw, error)
