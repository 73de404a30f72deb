"""Who is told of what a connection brings, and in which words."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Protocol

import gevent

from triton_users.wire import Encoded

Ticket = tuple[int, int, int]
"""(arrival_ns, sent_ns, tag) on the local clock."""


def tickets_of(items: Sequence[Encoded], arrivals: Sequence[int] | None, now: int) -> list[Ticket]:
    """The tickets of requests sent ``now``; ``arrivals`` None: they were meant for now, as in closed loop."""
    if arrivals is None:
        return [(now, now, item.tag) for item in items]
    return [(at, now, item.tag) for at, item in zip(arrivals, items, strict=True)]


class Source(Protocol):
    """Where a closed loop's requests come from."""

    def one(self) -> Encoded:
        """The next request."""

    def take(self, count: int) -> Sequence[Encoded]:
        """The next ``count`` requests."""


def report(what: object) -> None:
    """The exception being handled, said aloud: in the hub there is nobody to raise it to. Nor is there where
    it cannot be said, as on a pipe whose reader has gone: what is left of a batch must still be booked."""
    with contextlib.suppress(Exception):
        gevent.get_hub().handle_error(what, *sys.exc_info())


class Listener(Protocol):
    """Who is told of what a connection brings. Called in the hub: must not block. What it raises is reported
    and goes no further."""

    def room(self, now: int) -> None:
        """Requests have ended; new ones sent from here leave together with the acknowledgements."""

    def done(self, tickets: Sequence[Ticket], now: int) -> None:
        """Tickets answered OK."""

    def failed(self, ticket: Ticket, status: int, message: bytes, now: int) -> None:
        """A ticket answered by an error, or cut off with its connection."""


class ControlOnly:
    """The listener of a channel that carries nothing but calls."""

    def room(self, now: int) -> None: ...
    def done(self, tickets: Sequence[Ticket], now: int) -> None: ...
    def failed(self, ticket: Ticket, status: int, message: bytes, now: int) -> None: ...
