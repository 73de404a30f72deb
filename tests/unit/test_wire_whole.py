"""Views that are nothing but whole responses, as servers send them nearly always."""

from __future__ import annotations

from itertools import accumulate

import pytest

from tests.unit.wire_conversation import Call, Outcome, run, together
from tests.unit.wire_server import GRPC_HEADERS, headers, opened
from triton_users.wire import Head, ProtocolError, encode, frames
from triton_users.wire.fast import MOST_WHOLE
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


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("want", LAST)
@pytest.mark.parametrize("behind", BEHIND)
def test_the_same_as_the_general_parser(behind: str, want: str, count: int) -> None:
    tickets = [*((i,) for i in range(5)), LAST[want], *((6 + i,) for i in range(count))]
    for after in (b"", BEHIND[behind]):
        last = b"".join(responses(b"", 5 + count)[5:]) + BEHIND[behind]
        views = [*responses(after, 5), last]
        fast, general = (view_by_view(tickets, views, fast=fast) for fast in (True, False))
        assert fast.key() == general.key()


def test_a_response_that_nobody_waits_for() -> None:
    views = [*responses(UPDATE, 4), responses(UPDATE)[3], responses(UPDATE)[4]]
    fast, general = (view_by_view([(i,) for i in range(5)], views, fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert len(fast.ok) == 5


@pytest.mark.parametrize("count", [1, 2])
def test_every_flipped_bit(count: int) -> None:
    known, last = responses(UPDATE, 3), b"".join(responses(b"", 3 + count)[3:]) + UPDATE
    tickets: list[object] = [(i,) for i in range(3 + count)]
    for bit in range(8 * len(last)):
        view = bytearray(last)
        view[bit // 8] ^= 1 << bit % 8
        fast, general = (view_by_view(tickets, [*known, bytes(view)], fast=fast) for fast in (True, False))
        assert fast.key() == general.key(), bit


def test_a_stream_that_is_answered_twice_in_a_view() -> None:
    known, again = responses(b"", 3), responses(b"", 4)[3]
    tickets: list[object] = [(i,) for i in range(4)]
    fast, general = (view_by_view(tickets, [*known, again + again], fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert len(fast.ok) == 4


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
        view = memoryview(responses(UPDATE, 4)[3])
        assert connection.take_front(view, len(view)) == 0
        said.append(connection.receive(view))
    assert said[0] == said[1]
    assert said[0].out[0] == frames.reset(7, 0)


def test_the_window_is_topped_up_at_the_same_byte() -> None:
    views = [together(2 * i + 1, bytes(4000))[0][0] for i in range(40)]
    fast, general = (view_by_view([(i,) for i in range(40)], views, fast=fast) for fast in (True, False))
    assert fast.key() == general.key()
    assert fast.out


@pytest.mark.parametrize("count", [1, 2, MOST_WHOLE])
def test_they_are_taken_in_one_step(count: int) -> None:
    """Otherwise agreement would prove nothing: all but the first two, from which the form is learnt. What
    lies behind them in the buffer is of before."""
    connection = opened(2 + 10 * count)
    for view in responses(UPDATE, 2):
        assert connection.take_front(memoryview(view), len(view)) == 0
        connection.receive(memoryview(view))
    for i in range(10):
        first = 2 + i * count
        view = b"".join(responses(b"", first + count)[first:]) + (UPDATE if i % 2 else b"")
        found = connection.take_front(memoryview(view + b"of before"), len(view))
        assert isinstance(found, tuple)
        assert list(found[0]) == [(first + j,) for j in range(count)]
        assert not found[1]
    assert not connection.live


def test_not_in_the_middle_of_anything() -> None:
    """The same bytes are something else within a frame or a header block, and after a fault."""
    view = memoryview(responses(b"", 4)[3])
    block = headers(7, GRPC_HEADERS)[9:]
    half_a_block = frames.head(len(block) - 5, frames.HEADERS, 0, 7) + block[:-5]
    half_a_frame = frames.head(20_000, 0x20, 0, 0)
    for before in (half_a_block, half_a_frame):
        connection = opened(4)
        for known in responses(b"", 3):
            connection.receive(memoryview(known))
        connection.receive(memoryview(before))
        assert connection.take_front(view, len(view)) == 0
    connection = opened(4)
    for known in responses(b"", 3):
        connection.receive(memoryview(known))
    with pytest.raises(ProtocolError):
        connection.receive(memoryview(frames.head(4, frames.RST_STREAM, 0, 0) + bytes(4)))
    assert connection.take_front(view, len(view)) == 0
