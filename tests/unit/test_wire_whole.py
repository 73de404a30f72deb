"""One response that is the whole view, as servers send them while few requests are in flight."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tests.unit.wire_conversation import Call, Outcome, run, together
from tests.unit.wire_server import GRPC_HEADERS, headers, opened
from triton_users.wire import Head, encode, frames
from triton_users.wire.connection import Connection
from triton_users.wire.windows import MAX_WINDOW

UPDATE = frames.window_update(0, 1000)
BEHIND = {
    "nothing": b"",
    "an update": UPDATE,
    "an update by nothing": frames.window_update(0, 0),
    "an update beyond the largest window": frames.window_update(0, MAX_WINDOW),
    "an update with the reserved bit": UPDATE[:9] + b"\x80" + UPDATE[10:],
    "a stream's update": frames.window_update(1, 1000),
    "another frame of its size": frames.head(4, frames.RST_STREAM, 0, 11) + bytes(4),
}
LAST = {"tuple": (5,), "call": Call(5), "expired": None}


def responses(behind: bytes, count: int = 6) -> list[bytes]:
    return [together(2 * i + 1, b"message")[0][0] + behind for i in range(count)]


def view_by_view(tickets: list[object], views: list[bytes], *, fast: bool) -> Outcome:
    cuts = list(accumulate(map(len, views)))[:-1]
    return run(tickets, b"".join(views), cuts, fast=fast)


@pytest.mark.parametrize("want", LAST)
@pytest.mark.parametrize("behind", BEHIND)
def test_the_same_as_the_general_parser(behind: str, want: str) -> None:
    tickets = [*((i,) for i in range(5)), LAST[want], (6,)]
    for after in (b"", BEHIND[behind]):
        views = [*responses(after, 5), responses(BEHIND[behind])[5]]
        fast, general = (view_by_view(tickets, views, fast=fast) for fast in (True, False))
        assert fast.key() == general.key()


def test_a_response_that_nobody_waits_for() -> None:
    views = [*responses(UPDATE, 4), responses(UPDATE)[3], responses(UPDATE)[4]]
    fast, general = (view_by_view([(i,) for i in range(5)], views, fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert len(fast.ok) == 5


def test_every_flipped_bit() -> None:
    known, one = responses(UPDATE, 3), responses(UPDATE, 4)[3]
    tickets: list[object] = [(i,) for i in range(4)]
    for bit in range(8 * len(one)):
        view = bytearray(one)
        view[bit // 8] ^= 1 << bit % 8
        fast, general = (view_by_view(tickets, [*known, bytes(view)], fast=fast) for fast in (True, False))
        assert fast.key() == general.key(), bit


def test_a_stream_with_half_a_response() -> None:
    """Another HEADERS after its first is no second response."""
    views = [*responses(UPDATE, 3), headers(7, GRPC_HEADERS), responses(UPDATE, 4)[3]]
    fast, general = (view_by_view([(i,) for i in range(4)], views, fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert len(fast.ok) == 3


def test_a_request_answered_before_it_was_sent() -> None:
    """The server must hear that no more of it will come."""
    said = []
    for fast in (True, False):
        connection = opened(3, fast=fast)
        for view in responses(UPDATE, 3):
            connection.receive(memoryview(view))
        connection.receive(memoryview(frames.settings({4: 0})))
        connection.send([encode(Head(b"/s/m"), b"request")], [(3,)])
        said.append(connection.receive(memoryview(responses(UPDATE, 4)[3])))
    assert said[0] == said[1]
    assert said[0].out[0] == frames.reset(7, 0)


def test_the_window_is_topped_up_at_the_same_byte() -> None:
    views = [together(2 * i + 1, bytes(4000))[0][0] for i in range(40)]
    fast, general = (view_by_view([(i,) for i in range(40)], views, fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert fast.out


def test_it_is_taken_in_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise agreement would prove nothing: all but the first two, from which the form is learnt."""
    parsed = []
    parse = Connection._parse
    monkeypatch.setattr(
        Connection, "_parse", lambda self, view: parsed.append(len(view)) or parse(self, view)
    )
    connection = opened(12)
    del parsed[:]
    for i in range(12):
        view = together(2 * i + 1, b"message")[0][0] + (UPDATE if i % 2 else b"")
        assert connection.receive(memoryview(view))[:4] == ([(i,)], [], [], len(view))
    assert len(parsed) == 2
