"""A call: a stream whose answer somebody wants. Control calls and users' own infer() both wait on one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import getcurrent

from triton_users.net.errors import RpcError
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Status


def in_hub(resume: Callable[[], None]) -> None:
    """Switch greenlets only from the hub: now if we are there, else in its next turn. A greenlet that is
    switched to from another one would, by waiting, go to the hub and never back."""
    hub = gevent.get_hub()
    if getcurrent() is hub:
        resume()
    else:
        hub.loop.run_callback(resume)


class Ended(Protocol):
    """What a stream's entry must answer to, when it is not a plain ticket tuple."""

    sent_ns: int
    """0 when it was never sent."""

    def expires(self, end: bool) -> bool:
        """Whether it is given up with the load: at the channel's timeout, or (``end``) after the drain."""

    def finish(self, status: int, data: bytes, now_ns: int) -> None:
        """Called once, in the hub: gRPC status, the message (status 0) or the error's text."""


def expired(entry: Any, sent_before_ns: int, end: bool) -> bool:
    """Whether an entry that is a ticket, or answers to ``Ended``, is given up with what was sent before."""
    if type(entry) is tuple:
        return bool(entry[1] < sent_before_ns)
    return entry.sent_ns < sent_before_ns and bool(entry.expires(end))


class Call:
    """One call awaited by one greenlet. ``wait`` returns the message or raises RpcError."""

    __slots__ = ("_data", "_greenlet", "_hub", "_status", "_waiting", "sent_ns")

    def __init__(self) -> None:
        self._greenlet: Any = getcurrent()
        self._hub: Any = gevent.get_hub()
        self._status: int | None = None
        self._data = b""
        self._waiting = False
        self.sent_ns = 0

    @property
    def ended(self) -> bool:
        return self._status is not None

    def expires(self, end: bool) -> bool:
        """A call that is no part of the load has a time limit of its own, or none."""
        return False

    def finish(self, status: int, data: bytes, now_ns: int) -> None:
        self._status, self._data = status, data
        # Straight into the waiter: what it sends next still leaves with this batch.
        if getcurrent() is self._hub:
            self._go_on()
        else:
            in_hub(self._go_on)

    def _go_on(self) -> None:
        if self._waiting:
            self._greenlet.switch()

    def wait(self) -> bytes:
        """Blocks the greenlet that made the call. Raises RpcError; whatever is thrown in (a kill, a timeout)
        passes through, and the answer is then dropped."""
        if self._status is None:
            self._waiting = True
            try:
                self._hub.switch()
            finally:
                self._waiting = False
        if self._status != 0:
            raise RpcError(status_name(self._status), self._data.decode("utf-8", "replace"))
        return self._data


def status_name(status: int | None) -> str:
    """gRPC's name of a status code; codes outside the table are UNKNOWN, as the specification asks."""
    try:
        return Status(status if status is not None else 2).name
    except ValueError:
        return Status.UNKNOWN.name


def grpc_timeout(timeout_ns: int) -> tuple[bytes, bytes]:
    """The grpc-timeout header: at most eight digits and a unit (gRPC over HTTP/2, "Timeout")."""
    for unit, size in ((b"n", 1), (b"u", 1_000), (b"m", NS_PER_MS), (b"S", NS_PER_S)):
        if timeout_ns // size < 100_000_000:
            return b"grpc-timeout", b"%d" % max(timeout_ns // size, 1) + unit
    return b"grpc-timeout", b"99999999S"
