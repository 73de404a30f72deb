"""A channel's listener that keeps what it hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import gevent

from triton_users.clock import now_ns
from triton_users.net import Channel, Ticket
from triton_users.wire import Encoded, Head, encode

HEAD = Head(b"/test.Service/Echo")
"""The same object for all, as in a load: a connection knows its head by it."""


def item(message: bytes = b"message") -> Encoded:
    return encode(HEAD, message)


def until(true: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Let the hub run until something holds."""
    with gevent.Timeout(limit_s, AssertionError("it never came true")):
        while not true():
            gevent.sleep(0.001)


class ChannelLog:
    """Sends load requests by ``channel``, whose source it is, and hears of their ends. ``slots``: keep as
    many in flight, as a closed loop does."""

    made: ClassVar[list[ChannelLog]] = []
    """Those of the running test, whose ledgers a fixture holds at its end."""

    def __init__(self, channel: Channel, slots: int = 0) -> None:
        self.channel = channel
        self.slots = slots
        self.sent = 0
        self.refused = 0
        self.ok: list[tuple[Ticket, int]] = []
        self.failures: list[tuple[Ticket, int, str]] = []
        self.failed_at: list[int] = []
        self.changes: list[tuple[bool, str]] = []
        self.raises: Exception | None = None
        channel.listen(self, self.changed)
        self.made.append(self)

    def send(self, count: int = 1, message: bytes = b"message", arrivals: list[int] | None = None) -> bool:
        taken = self.channel.send([item(message)] * count, arrivals, now_ns())
        if taken:
            self.sent += count
        else:
            self.refused += count
        return taken

    def send_one(self) -> None:
        """By the way of single requests."""
        if self.channel.send_one(item(), now := now_ns(), now):
            self.sent += 1
        else:
            self.refused += 1

    def assert_ledger(self) -> None:
        """Every request that was sent has come to exactly one end, or is in flight."""
        ends = len(self.ok) + len(self.failures)
        assert self.sent == ends + self.channel.in_flight, (self.sent, ends, self.channel.in_flight)

    def room(self, now: int) -> None:
        if self.raises:
            raise self.raises
        self.sent += self.channel.fill(self.slots, self, now_ns())

    def one(self) -> Encoded:
        return item()

    def take(self, count: int) -> list[Encoded]:
        return [item()] * count

    def done(self, tickets: list[Ticket], now: int) -> None:
        self.ok += [(ticket, now) for ticket in tickets]
        if self.raises:
            raise self.raises

    def failed(self, ticket: Ticket, status: int, message: bytes, now: int) -> None:
        self.failures.append((ticket, status, message.decode()))
        self.failed_at.append(now)

    def changed(self, usable: bool, reason: str) -> None:
        self.changes.append((usable, reason))
        if usable and self.slots:
            self.room(0)
