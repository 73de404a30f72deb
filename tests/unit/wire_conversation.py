"""Conversations whose outcome is known: responses of every kind, interleaved, with the truth beside them."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.unit.wire_server import GRPC_HEADERS, OK_TRAILERS, block, data, frame, headers, opened, prefixed
from triton_users.wire import ProtocolError, Status, frames

Unit = bytes
"""Frames that must follow each other; between units anything of the connection or other streams may come."""

INTERNAL, UNKNOWN = Status.INTERNAL, Status.UNKNOWN


class Call:
    """A ticket that wants its message."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Call({self.number})"


def plain(i: int, message: bytes) -> tuple[list[Unit], int]:
    parts = [headers(i, GRPC_HEADERS), data(i, prefixed(message)), headers(i, OK_TRAILERS, end=True)]
    return parts, 0


def together(i: int, message: bytes) -> tuple[list[Unit], int]:
    return [b"".join(plain(i, message)[0])], 0


def in_pieces(i: int, message: bytes) -> tuple[list[Unit], int]:
    body = prefixed(message)
    third = len(body) // 3
    cut = [data(i, body[:2]), data(i, b""), data(i, body[2 : third + 2]), data(i, body[third + 2 :])]
    return [headers(i, GRPC_HEADERS), *cut, headers(i, OK_TRAILERS, end=True)], 0


def padded(i: int, message: bytes) -> tuple[list[Unit], int]:
    raw = block(GRPC_HEADERS)
    prioritised = b"\x07" + b"\0\0\0\0\x10" + raw + bytes(7)
    flags = frames.PADDED | frames.PRIORITISED | frames.END_HEADERS
    head = frame(frames.HEADERS, flags, i, prioritised)
    body = frame(frames.DATA, frames.PADDED, i, b"\x21" + prefixed(message) + bytes(0x21))
    only_padding = frame(frames.DATA, frames.PADDED, i, b"\x03" + bytes(3))
    return [head, only_padding, body, headers(i, OK_TRAILERS, end=True)], 0


def continued(i: int, message: bytes) -> tuple[list[Unit], int]:
    raw = block([(":status", "200"), ("content-type", "application/grpc+proto"), ("x-more", "y" * 40)])
    first = frame(frames.HEADERS, 0, i, raw[:9]) + frame(frames.CONTINUATION, 0, i, raw[9:30])
    first += frame(frames.CONTINUATION, frames.END_HEADERS, i, raw[30:])
    tail = block(OK_TRAILERS)
    last = frame(frames.HEADERS, frames.END_STREAM, i, tail[:1])
    last += frame(frames.CONTINUATION, frames.END_HEADERS, i, tail[1:])
    return [first, data(i, prefixed(message)), last], 0


def interim(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, status = plain(i, message)
    return [headers(i, [(":status", "103")]), *units], status


def then_reset(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, status = plain(i, message)
    return [*units, frame(frames.RST_STREAM, 0, i, bytes(4))], status


def trailers_only(i: int, message: bytes) -> tuple[list[Unit], int]:
    return [headers(i, [*GRPC_HEADERS, ("grpc-status", "5"), ("grpc-message", "not%20here")], end=True)], 5


def late_error(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [*units[:2], headers(i, [("grpc-status", "14"), ("grpc-message", "gone")], end=True)], 14


def reset(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [*units[: i % 3], frame(frames.RST_STREAM, 0, i, struct.pack(">I", 8))], Status.CANCELLED


def truncated(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [units[0], data(i, prefixed(message + b"zz")[:-1]), units[2]], INTERNAL


def doubled(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [units[0], units[1], data(i, prefixed(b"")), units[2]], INTERNAL


def compressed(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [units[0], data(i, prefixed(message, flag=1)), units[2]], INTERNAL


def no_message(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [units[0], units[2]], INTERNAL


def no_status(i: int, message: bytes) -> tuple[list[Unit], int]:
    units, _ = plain(i, message)
    return [*units[:2], headers(i, [("x", "y")], end=True)], UNKNOWN


def no_trailers(i: int, message: bytes) -> tuple[list[Unit], int]:
    return [headers(i, GRPC_HEADERS), data(i, prefixed(message), end=True)], INTERNAL


def proxy_error(i: int, message: bytes) -> tuple[list[Unit], int]:
    page = [(":status", "503"), ("content-type", "text/html")]
    return [headers(i, page), data(i, message, end=True)], Status.UNAVAILABLE


GOOD = (plain, together, in_pieces, padded, continued, interim, then_reset)
BAD = (
    trailers_only,
    late_error,
    reset,
    truncated,
    doubled,
    compressed,
    no_message,
    no_status,
    no_trailers,
    proxy_error,
)
# What the connection itself may say at any time, and how we answer.
ASIDES = (
    frame(frames.PING, 0, 0, b"pingpong"),
    frame(frames.PING, frames.ACK, 0, b"pingpong"),
    frames.settings({4: 70_000, 3: 1000}),
    frame(frames.SETTINGS, frames.ACK, 0),
    frames.window_update(0, 1000),
    frames.window_update(1, 1),
    frame(frames.PRIORITY, 0, 9, bytes(5)),
    frame(0x20, 0xFF, 3, b"a type that nobody knows"),
)


@dataclass
class Conversation:
    """What the server says after its SETTINGS, to ``len(tickets)`` requests, and what must come of it."""

    tickets: list[object]
    stream: bytes
    ok: set[tuple]
    other: dict[object, tuple[int, bytes | None]]  # the payload None: any text
    expired: int
    out: bytes | None = None
    units: list[bytes] = field(default_factory=list)


def converse(
    kinds: Sequence[tuple], wants: Sequence[str], messages: Sequence[bytes], order: random.Random
) -> Conversation:
    """One response per kind; ``wants`` says tuple, call or expired; units are interleaved by ``order``."""
    tickets: list[object] = []
    ok, other, expired = set(), {}, 0
    queues: list[list[Unit]] = []
    for number, (kind, want, message) in enumerate(zip(kinds, wants, messages, strict=True)):
        units, status = kind(2 * number + 1, message)
        queues.append(units)
        ticket = {"tuple": (number, 0, 0), "call": Call(number), "expired": None}[want]
        tickets.append(ticket)
        if ticket is None:
            expired += 1
        elif status == 0 and want == "tuple":
            ok.add(ticket)
        else:
            other[ticket] = (int(status), message if status == 0 else None)
    said: list[bytes] = []
    mixed = order.random() < 0.5
    while queues:
        queue = order.choice(queues[:4]) if mixed else queues[0]
        said.append(queue.pop(0))
        queues = [q for q in queues if q]
        if order.random() < 0.1:
            said.append(order.choice(ASIDES))
    return Conversation(tickets, b"".join(said), ok, other, expired, units=said)


@dataclass
class Outcome:
    ok: list[tuple]
    other: list[tuple[object, int, bytes]]
    out: bytes
    left: list[int]
    window: tuple[int, int]
    fault: str | None

    def statuses(self, tickets: Sequence[object]) -> list[int]:
        """Of requests that have ended, in the order of these tickets."""
        found = dict.fromkeys(self.ok, 0) | {ticket: status for ticket, status, _ in self.other}
        return [found[ticket] for ticket in tickets]

    def key(self) -> tuple:
        other = [(repr(ticket), status, payload) for ticket, status, payload in self.other]
        return sorted(self.ok), sorted(other), self.out, self.left, self.window, self.fault


def run(
    tickets: Sequence[object],
    stream: bytes,
    cuts: Sequence[int] = (),
    *,
    fast: bool,
    skip: bool = False,
    window: int = 65_535,
) -> Outcome:
    """Pass a stream in the parts between ``cuts``; ``skip``: discard what the connection lets us discard."""
    connection = opened(len(tickets), tickets, fast=fast, window=window)
    outcome = Outcome([], [], b"", [], (0, 0), None)
    start, skippable = 0, 0
    for end in [*cuts, len(stream)]:
        if skip and skippable:
            n = min(skippable, end - start)
            connection.skipped(n)
            start += n
        view = memoryview(stream)[start:]
        front = connection.take_front(view, end - start)
        if isinstance(front, tuple):
            outcome.ok += front[0]
            outcome.other += front[1]
            start, skippable = end, 0
            continue
        try:
            got = connection.receive(view[front : end - start])
        except ProtocolError as fault:
            assert fault.received is not None
            got = fault.received
            outcome.fault = f"{type(fault).__name__} {fault.message}"
        outcome.ok += got.ok
        outcome.other += got.other
        outcome.out += b"".join(got.out)
        if outcome.fault:
            break
        start += front + got.used
        skippable = got.skip
    outcome.left = sorted(connection.live)
    outcome.window = (connection._data.credit.quiet, connection._outgoing.window)
    assert len(outcome.ok) + len(outcome.other) + len(outcome.left) == len(tickets), "a stream ended twice"
    return outcome


def check(conversation: Conversation, outcome: Outcome) -> None:
    """Against the truth."""
    assert outcome.fault is None
    assert outcome.left == []
    assert sorted(outcome.ok) == sorted(conversation.ok)
    named = {ticket: (status, payload) for ticket, status, payload in outcome.other if ticket is not None}
    assert len(named) == len(outcome.other) - conversation.expired
    assert named.keys() == conversation.other.keys()
    for ticket, (status, payload) in conversation.other.items():
        assert named[ticket][0] == status, ticket
        assert payload is None or named[ticket][1] == payload
