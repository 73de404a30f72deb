"""What a server may not say, and what each fault is called on the wire."""

from __future__ import annotations

import struct
import weakref

import pytest

from tests.unit.wire_server import (
    GRPC_HEADERS,
    OK_TRAILERS,
    answer,
    data,
    frame,
    headers,
    opened,
    prefixed,
)
from triton_users.wire import (
    CompressionError,
    Connection,
    Encoded,
    FlowControlError,
    FrameSizeError,
    Head,
    ProtocolError,
    encode,
    frames,
)
from triton_users.wire.errors import ExcessError
from triton_users.wire.streams import SPARE

ITEM = encode(Head(b"/s/m"), b"request")
U32 = struct.Struct(">I").pack


def settings(*values: tuple[int, int]) -> bytes:
    return frame(frames.SETTINGS, 0, 0, b"".join(struct.pack(">HI", *value) for value in values))


FAULTS = [
    ("an odd SETTINGS", frame(4, 0, 0, bytes(5)), FrameSizeError),
    ("SETTINGS on a stream", frame(4, 0, 1, bytes(6)), ProtocolError),
    ("an ACK with a payload", frame(4, 1, 0, bytes(6)), FrameSizeError),
    ("far too many settings", frame(4, 0, 0, bytes(6 * 3000)), ExcessError),
    ("push enabled by a server", settings((2, 1)), ProtocolError),
    ("an initial window above the maximum", settings((4, 2**31)), FlowControlError),
    ("a frame size below the minimum", settings((5, 2**14 - 1)), ProtocolError),
    ("a frame size above the maximum", settings((5, 2**24)), ProtocolError),
    ("PING on a stream", frame(6, 0, 1, bytes(8)), ProtocolError),
    ("a short PING", frame(6, 0, 0, bytes(7)), FrameSizeError),
    ("a short GOAWAY", frame(7, 0, 0, bytes(7)), FrameSizeError),
    ("GOAWAY on a stream", frame(7, 0, 1, bytes(8)), ProtocolError),
    ("a long RST_STREAM", frame(3, 0, 1, bytes(5)), FrameSizeError),
    ("RST_STREAM of an idle stream", frame(3, 0, 99, bytes(4)), ProtocolError),
    ("a stream of the server's", headers(2, GRPC_HEADERS), ProtocolError),
    ("HEADERS of an idle stream", headers(7, GRPC_HEADERS), ProtocolError),
    ("DATA of an idle stream", data(7, b""), ProtocolError),
    ("DATA of stream 0", data(0, b"x"), ProtocolError),
    ("HEADERS of stream 0", headers(0, GRPC_HEADERS), ProtocolError),
    ("a long PRIORITY", frame(2, 0, 1, bytes(6)), FrameSizeError),
    ("PRIORITY of nothing", frame(2, 0, 0, bytes(5)), ProtocolError),
    ("PUSH_PROMISE", frame(5, 4, 1, U32(2)), ProtocolError),
    ("a window grown by 0", frame(8, 0, 0, U32(0)), ProtocolError),
    ("a stream's window grown by 0", frame(8, 0, 1, U32(2**31)), ProtocolError),
    ("a window too large", frame(8, 0, 0, U32(2**31 - 1)), FlowControlError),
    ("a short WINDOW_UPDATE", frame(8, 0, 0, bytes(3)), FrameSizeError),
    ("a window of an idle stream", frame(8, 0, 7, U32(1)), ProtocolError),
    ("padding as long as DATA", frame(0, 8, 1, b"\x03" + bytes(3 - 1)), ProtocolError),
    ("DATA padded without a length", frame(0, 8, 1), ProtocolError),
    ("padding longer than HEADERS", frame(1, 12, 1, b"\x03" + bytes(2)), ProtocolError),
    ("HEADERS padded without a length", frame(1, 12, 1), FrameSizeError),
    ("HEADERS with half a priority", frame(1, 0x24, 1, bytes(4)), FrameSizeError),
    ("CONTINUATION of nothing", frame(9, 4, 1), ProtocolError),
    ("CONTINUATION of another stream", frame(1, 0, 1) + frame(9, 4, 3), ProtocolError),
    ("PING in a header block", frame(1, 0, 1) + frame(6, 0, 0, bytes(8)), ProtocolError),
    ("an unknown frame in a header block", frame(1, 0, 1) + frame(77, 0, 0), ProtocolError),
    ("DATA in a header block", frame(1, 0, 1) + data(1, b""), ProtocolError),
    ("endless empty CONTINUATION", frame(1, 0, 1) + frame(9, 0, 1) * 100, ExcessError),
    ("endless CONTINUATION", frame(1, 0, 1) + frame(9, 0, 1, bytes(9000)) * 5, ExcessError),
    ("a huge header block", frames.head(2**20, 1, 4, 1), ExcessError),
    ("a header list of too many bytes", headers(1, [("x", "y" * 20_000)] * 2), ExcessError),
    ("an index into the empty table", frame(1, 4, 1, b"\xbe"), CompressionError),
    ("a table that we did not allow", frame(1, 4, 1, b"\x3f\xe2\x1f"), CompressionError),
    ("a header block that ends early", frame(1, 4, 1, b"\x40\x05abc"), CompressionError),
]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(("stream", "kind"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_ends_the_connection_and_spares_what_came_before(stream, kind, fast):
    connection = opened(3, fast=fast)
    with pytest.raises(ProtocolError) as caught:
        connection.receive(memoryview(answer(5) + stream))
    fault = caught.value
    assert type(fault) is kind and fault.message
    assert fault.received.ok == [(2,)] and fault.received.closing and connection.closing
    goaway = bytes(fault.received.out[-1])
    assert goaway[3] == frames.GOAWAY and goaway[13:17] == U32(kind.code)
    assert sorted(connection.live) == [1, 3]
    with pytest.raises(ProtocolError):
        connection.receive(memoryview(b""))


@pytest.mark.parametrize(
    "first",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", frame(6, 0, 0, bytes(8)), frame(4, 1, 0), data(1, b"")],
    ids=["HTTP/1", "PING", "an ACK", "DATA"],
)
def test_a_server_starts_with_its_settings(first):
    connection = Connection("host:1")
    connection.start()
    with pytest.raises(ProtocolError, match="SETTINGS"):
        connection.receive(memoryview(first))
    assert not connection.ready


def test_more_data_than_the_windows_allow():
    connection = opened(2, window=65_535)
    connection.receive(memoryview(data(1, bytes(30_000))))
    with pytest.raises(FlowControlError):
        connection.receive(memoryview(data(1, bytes(65_536))))
    with pytest.raises(ValueError, match="a window of 100 bytes"):
        Connection("host:1", window=100)


def test_window_changes_that_overflow():
    connection = opened(0)
    connection.send([encode(Head(b"/s/m"), bytes(100_000))], [(1,)])  # some of it waits
    connection.receive(memoryview(frame(8, 0, 1, U32(2**31 - 1 - 65_535))))
    with pytest.raises(FlowControlError):
        connection.receive(memoryview(settings((4, 2**31 - 1))))
    connection = opened(0)
    connection.send([encode(Head(b"/s/m"), bytes(100_000))], [(1,)])
    with pytest.raises(FlowControlError):
        connection.receive(memoryview(frame(8, 0, 1, U32(2**31 - 1)) * 2))


def test_a_stream_that_was_not_opened_yet_is_idle():
    connection = opened(0)
    connection.receive(memoryview(settings((3, 1))))
    connection.send([ITEM] * 2, [(1,), (2,)])
    assert connection.waiting == 1
    with pytest.raises(ProtocolError, match="stream 3, which was never opened"):
        connection.receive(memoryview(answer(3)))


def test_an_unopened_stream_is_idle_for_a_known_pattern_too():
    connection = opened(4)
    connection.receive(memoryview(b"".join(answer(i) for i in (1, 3, 5, 7))))
    connection.receive(memoryview(settings((3, 1))))
    connection.send([ITEM] * 2, [(1,), (2,)])
    with pytest.raises(ProtocolError, match="stream 11, which was never opened"):
        connection.receive(memoryview(answer(11)))


@pytest.mark.parametrize("fast", [True, False])
def test_frames_of_a_stream_that_has_ended_are_tolerated_and_counted(fast):
    connection = opened(1, fast=fast, window=65_535)
    got = connection.receive(
        memoryview(answer(1) + answer(1) + frame(3, 0, 1, bytes(4)) + frame(8, 0, 1, U32(0)))
    )
    assert got.ok == [(0,)] and got.other == []
    got = connection.receive(memoryview(data(1, bytes(40_000))))
    assert got.out == [frames.window_update(0, 40_022)] and not got.other


def test_known_patterns_stop_at_a_stream_that_waits_for_its_own_window():
    """Two streams are more than an entry in live: one half answered, one half sent."""
    connection = opened(6)
    connection.receive(memoryview(answer(1) + answer(3) + answer(5)))
    connection.receive(memoryview(headers(7, GRPC_HEADERS)))
    connection.send([encode(Head(b"/s/m"), bytes(100_000))], [("big",)])
    got = connection.receive(memoryview(answer(9) + answer(13) + answer(7)))
    assert got.ok == [(4,), ("big",)]
    assert got.other == [((3,), 13, b"headers in the middle of a response")]
    assert b"".join(got.out) == frames.reset(13, 0)


MORE = [
    ("trailers with a status", [headers(1, GRPC_HEADERS), headers(1, [(":status", "200")], end=True)], 13),
    ("headers twice", [headers(1, GRPC_HEADERS) * 2, data(1, prefixed(b"")),
                       headers(1, OK_TRAILERS, True)], 13),
    ("no status line", [headers(1, [("x", "y")], end=True)], 13),
    ("a status line of letters", [headers(1, [(":status", "abc")], end=True)], 13),
    ("an interim response that ends", [headers(1, [(":status", "100")], end=True)], 13),
    ("data first", [data(1, prefixed(b"")), headers(1, GRPC_HEADERS), headers(1, OK_TRAILERS, True)], 13),
    ("a web page", [headers(1, [(":status", "200"), ("content-type", "text/html")], end=True)], 2),
    ("gRPC-Web", [headers(1, [(":status", "200"), ("content-type", "application/grpc-web")], True)], 2),
    ("a prefix cut short", [headers(1, GRPC_HEADERS), data(1, b"\0\0"), headers(1, OK_TRAILERS, True)], 13),
    ("a number beyond the statuses", [headers(1, [*GRPC_HEADERS, ("grpc-status", "99")], True)], 2),
    ("no number", [headers(1, [*GRPC_HEADERS, ("grpc-status", "five")], True)], 2),
    ("success without anything", [headers(1, [*GRPC_HEADERS, ("grpc-status", "0")], True)], 13),
    ("an empty end", [headers(1, GRPC_HEADERS), data(1, b"", end=True)], 13),
    ("404", [headers(1, [(":status", "404")], True)], 12),
    ("a status in spite of a broken message", [headers(1, GRPC_HEADERS), data(1, b"\1\0\0\0\0"),
                                               headers(1, [("grpc-status", "9")], True)], 9),
    ("a reset of an unknown kind", [frame(3, 0, 1, U32(4711))], 2),
]  # fmt: skip


@pytest.mark.parametrize(("units", "status"), [m[1:] for m in MORE], ids=[m[0] for m in MORE])
def test_a_broken_response_ends_its_stream_alone(units, status):
    connection = opened(2)
    got = connection.receive(memoryview(b"".join(units)))
    ((ticket, found, why),) = got.other
    assert (ticket, found) == ((0,), status) and (why or status in (2, 9))
    assert connection.receive(memoryview(answer(3))).ok == [(1,)]


def test_a_goaway_refuses_what_is_above_its_last_id_and_what_was_not_opened():
    connection = opened(0)
    connection.receive(memoryview(settings((3, 3))))
    connection.send([ITEM] * 5, [(i,) for i in range(5)])
    got = connection.receive(memoryview(frame(7, 0, 0, U32(2**31 - 1) + U32(0))))
    assert connection.take_refused() == [(ITEM, (3,)), (ITEM, (4,))] and got.closing and not got.other
    got = connection.receive(memoryview(frame(7, 0, 0, U32(3) + U32(11) + b"too_many_pings")))
    assert connection.take_refused() == [(ITEM, (2,))] and not got.other
    got = connection.receive(memoryview(answer(1) + answer(3)))
    assert got.ok == [(0,), (1,)] and connection.waiting == 0


def test_what_a_goaway_leaves_out_and_cannot_be_sent_again():
    """The server took nothing of this connection; or nobody waits for the request any more."""
    reason = b"the server is going away: ENHANCE_YOUR_CALM too_many_pings"
    goaway = U32(11) + b"too_many_pings"
    connection = opened(2)
    assert connection.receive(memoryview(frame(7, 0, 0, U32(0) + goaway))).other == [
        ((0,), 14, reason),
        ((1,), 14, reason),
    ]
    connection = opened(1)
    connection.send([ITEM, ITEM], [(1,), (2,)])
    connection.live[5] = None
    got = connection.receive(memoryview(frame(7, 0, 0, U32(1) + goaway)))
    assert got.other == [(None, 14, b"")]
    assert connection.take_refused() == [(ITEM, (1,))] and list(connection.live) == [1]


def test_long_requests_too_are_sent_again_as_a_whole():
    """Written, half written, and not opened yet."""
    connection = opened(1)
    long = encode(Head(b"/s/m"), bytes(40_000))
    connection.send([long] * 3, [(1,), (2,), (3,)])
    assert connection.waiting == 2
    got = connection.receive(memoryview(frame(7, 0, 0, U32(1) + U32(0))))
    assert connection.take_refused() == [(long, (1,)), (long, (2,)), (long, (3,))]
    assert not got.other and connection.waiting == 0 and list(connection.live) == [1]


@pytest.mark.parametrize("at_once", [1, 3])
def test_requests_of_ended_streams_are_let_go(at_once):
    """A task's own requests may be megabytes each."""
    connection = opened(0)
    made: list[weakref.ref[memoryview]] = []
    for first in range(1, 400 * at_once, 2 * at_once):
        items = [Encoded(Head(b"/s/m"), memoryview(b"\0\0\0\0\1%d" % n)) for n in range(at_once)]
        made += [weakref.ref(item.body) for item in items]
        if at_once > 1 or connection.send_one(items[0], (first,)) is None:
            connection.send(items, [(first,)] * at_once)
        del items
        connection.receive(memoryview(b"".join(answer(first + 2 * n) for n in range(at_once))))
    assert len(made) == 200 * at_once
    assert sum(one() is not None for one in made) <= SPARE + 3 * at_once


def test_a_goaway_with_a_request_half_sent():
    connection = opened(0)
    connection.send([encode(Head(b"/s/m"), bytes(200_000))] * 2, [(0,), (1,)])
    assert connection.waiting == 2
    got = connection.receive(memoryview(frame(7, 0, 0, bytes(8))))
    assert [ticket for ticket, _, _ in got.other] == [(0,), (1,)] and got.out == []
    assert connection.waiting == 0
    assert connection.receive(memoryview(frame(8, 0, 0, U32(10**6)))).out == []


def test_settings_lower_the_window_under_a_request_that_is_next_in_line():
    """It was waiting for the connection; now it waits for itself, and then it may go on."""
    connection = opened(0)
    connection.send([encode(Head(b"/s/m"), bytes(80_000))], [(0,)])
    connection.receive(memoryview(frame(8, 0, 1, U32(100))))  # in line: its own window is open
    got = connection.receive(memoryview(settings((4, 100)) + frame(8, 0, 0, U32(10**6))))
    assert [bytes(part[:4]) for part in got.out] == [frames.SETTINGS_ACK[:4]]
    got = connection.receive(memoryview(frame(8, 0, 1, U32(70_000))))
    assert len(got.out[1]) == 70_000 + 100 + (100 - 65_535)
    assert connection.waiting == 1
    connection.receive(memoryview(frame(8, 0, 1, U32(70_000))))
    assert connection.waiting == 0


def test_nothing_to_send_and_what_may_not_be_sent():
    connection = opened(0)
    assert connection.send([], []) == []
    with pytest.raises(ValueError, match="1 tickets for 2 requests"):
        connection.send([ITEM] * 2, [(1,)])
    assert not connection.live


def test_a_request_stands_in_line_once_however_often_its_window_grows():
    connection = opened(0)
    connection.send([encode(Head(b"/s/m"), bytes(80_000))], [(0,)])
    connection.receive(memoryview(frame(8, 0, 1, U32(1)) * 100))
    assert len(connection._outgoing._line) == 1
