"""The client against h2's server: requests arrive whole, answers are reported once."""

from __future__ import annotations

import itertools

import h2.events
import h2.settings
import pytest

from tests.unit.wire_server import Pair
from triton_users.wire import Connection, Head, Status, encode

HEAD = Head(b"/inference.GRPCInferenceService/ModelInfer")
S = h2.settings.SettingCodes
BIG = bytes(range(256)) * 4096  # 1 MiB


class Call:
    """A ticket that wants its message."""


@pytest.fixture(params=[True, False], ids=["fast", "general"])
def fast(request) -> bool:
    return request.param


def test_a_request_arrives_with_its_headers_and_its_answer_is_reported(fast):
    pair = Pair(Connection("host:8001", fast=fast))
    head = Head(b"/s/m", ((b"grpc-timeout", b"1S"), (b"x-key", b"value")))
    pair.send([encode(head, b"hello", tag=3)], [(1, 2, 3)])
    assert pair.client.ready and not pair.client.closing
    assert pair.server.heads[1] == [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/s/m"),
        (b":authority", b"host:8001"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"grpc-python-triton-users/0.1"),
        (b"grpc-accept-encoding", b"identity"),
        (b"grpc-timeout", b"1S"),
        (b"x-key", b"value"),
    ]
    assert pair.server.bodies[1] == b"\0\0\0\0\5hello" and pair.server.done == [1]
    pair.server.respond(1, b"world")
    pair.settle()
    assert pair.reader.ok == [(1, 2, 3)] and not pair.client.live


def test_many_rounds_of_small_requests_of_two_classes(fast):
    pair = Pair(Connection("host:8001", fast=fast))
    items = [encode(HEAD, b"a" * 64), encode(Head(b"/s/other"), b"b" * 99)]
    for turn in range(20):
        batch = [items[i % 2] for i in range(8)]
        pair.send(batch, [(turn, i) for i in range(8)])
        for i, stream_id in enumerate(range(1 + 16 * turn, 16 * turn + 17, 2)):
            assert pair.server.bodies[stream_id] == bytes(batch[i].body)
            assert dict(pair.server.heads[stream_id])[b":path"] == batch[i].head.path
            pair.server.respond(stream_id, b"x" * (32 + 32 * (i % 2)))
        pair.settle()
    assert sorted(pair.reader.ok) == [(t, i) for t in range(20) for i in range(8)]
    assert not pair.client.live and not pair.client.waiting


def test_large_bodies_pass_small_windows_both_ways(fast):
    pair = Pair(Connection("host:8001", fast=fast, window=65_535), {S.INITIAL_WINDOW_SIZE: 10_000})
    calls = [Call() for _ in range(3)]
    pair.send([encode(HEAD, BIG)] * 6, [*calls, (4,), (5,), (6,)])
    assert sorted(pair.server.done) == [1, 3, 5, 7, 9, 11]
    assert all(body[5:] == BIG for body in pair.server.bodies.values())
    for stream_id in pair.server.done:
        pair.server.respond(stream_id, BIG[::-1])
    pair.settle()
    assert sorted(pair.reader.ok) == [(4,), (5,), (6,)]
    assert {id(t) for t, _, _ in pair.reader.other} == {id(c) for c in calls}
    assert all((status, payload) == (0, BIG[::-1]) for _, status, payload in pair.reader.other)
    assert pair.client.waiting == 0


def test_windows_that_are_never_enlarged_hold_the_rest_back():
    pair = Pair(Connection("host:8001"), {S.INITIAL_WINDOW_SIZE: 40_000})
    pair.settle()
    pair.server.acknowledge = False
    pair.send([encode(HEAD, BIG)] * 3, [(1,), (2,), (3,)])
    # 65,535 bytes of connection window: all of the first stream's 40,000, the rest for the second.
    assert [len(body) for body in pair.server.bodies.values()] == [40_000, 25_535]
    assert pair.client.waiting == 3
    pair.server.h2.increment_flow_control_window(10, None)
    pair.settle()
    assert [len(body) for body in pair.server.bodies.values()] == [40_000, 25_545]
    pair.server.h2.increment_flow_control_window(100_000, None)
    pair.settle()
    assert [len(body) for body in pair.server.bodies.values()] == [40_000, 40_000, 40_000]


def test_an_initial_window_changed_in_mid_run_moves_open_and_waiting_streams():
    pair = Pair(Connection("host:8001"), {S.INITIAL_WINDOW_SIZE: 30_000})
    pair.settle()
    pair.server.acknowledge = False
    pair.send([encode(HEAD, BIG)], [(1,)])
    pair.server.change(INITIAL_WINDOW_SIZE=100)  # window of the open stream: -29,900
    pair.settle()
    pair.server.h2.increment_flow_control_window(29_900, 1)
    pair.settle()
    assert len(pair.server.bodies[1]) == 30_000
    pair.server.h2.increment_flow_control_window(1, 1)
    pair.settle()
    assert len(pair.server.bodies[1]) == 30_001
    pair.server.change(INITIAL_WINDOW_SIZE=5_000)
    pair.settle()
    assert len(pair.server.bodies[1]) == 34_901
    pair.send([encode(HEAD, BIG)], [(2,)])
    assert len(pair.server.bodies[3]) == 5_000


def test_a_larger_frame_size_is_used_once_it_is_allowed():
    pair = Pair(Connection("host:8001"), {S.MAX_FRAME_SIZE: 2**20, S.INITIAL_WINDOW_SIZE: 2**22})
    pair.settle()
    pair.server.h2.increment_flow_control_window(2**22, None)
    pair.settle()
    pair.send([encode(HEAD, BIG)], [(1,)])
    sizes = [len(e.data) for e in pair.server.events if isinstance(e, h2.events.DataReceived)]
    assert sizes == [2**20, 5]


def test_before_the_servers_settings_the_defaults_of_the_standard_hold():
    connection = Connection("host:8001")
    connection.start()
    out = connection.send([encode(HEAD, BIG)], [(1,)])
    assert not connection.ready
    assert [len(part) for part in out[2::2]] == [16_384, 16_384, 16_384, 16_383]


def test_one_stream_at_a_time_and_then_more():
    pair = Pair(Connection("host:8001"), {S.MAX_CONCURRENT_STREAMS: 1})
    pair.settle()
    pair.send([encode(HEAD, b"x")] * 5, [(i,) for i in range(5)])
    assert pair.server.done == [1] and pair.client.waiting == 4
    pair.server.respond(1, b"y")
    pair.settle()
    assert pair.server.done == [1, 3]
    pair.send([encode(HEAD, b"x")], [(5,)])
    pair.server.change(MAX_CONCURRENT_STREAMS=3)
    pair.settle()
    assert pair.server.done == [1, 3, 5, 7] and pair.client.waiting == 2
    pair.server.change(MAX_CONCURRENT_STREAMS=1)
    pair.settle()
    for stream_id in (3, 5):
        pair.server.respond(stream_id, b"y")
        pair.settle()
    assert pair.server.done == [1, 3, 5, 7]
    for stream_id in itertools.takewhile(lambda i: i < 12, itertools.count(7, 2)):
        pair.server.respond(stream_id, b"y")
        pair.settle()
    assert pair.reader.ok == [(i,) for i in range(6)] and pair.client.waiting == 0


def test_errors_resets_and_pings(fast):
    pair = Pair(Connection("host:8001", fast=fast))
    call = Call()
    pair.send([encode(HEAD, b"x")] * 4, [(0,), call, (2,), (3,)])
    pair.client.live[7] = None
    pair.server.h2.send_headers(
        1,
        [*GRPC, ("grpc-status", "5"), ("grpc-message", "no %22m%C3%A9%22")],
        end_stream=True,
    )
    pair.server.respond(3, b"x", [("grpc-status", "4"), ("grpc-message", "late")])
    pair.server.h2.reset_stream(5, 7)
    pair.server.respond(7, b"x")
    pair.server.h2.ping(b"12345678")
    pair.settle()
    assert pair.reader.other == [
        ((0,), Status.NOT_FOUND, 'no "mé"'.encode()),
        (call, Status.DEADLINE_EXCEEDED, b"late"),
        ((2,), Status.UNAVAILABLE, b"stream reset: REFUSED_STREAM"),
        (None, Status.OK, b""),
    ]
    assert any(isinstance(e, h2.events.PingAckReceived) for e in pair.server.events)


GRPC = [(":status", "200"), ("content-type", "application/grpc")]


def test_goaway_ends_what_it_leaves_out_and_a_second_one_ends_more():
    pair = Pair(Connection("host:8001"))
    pair.send([encode(HEAD, b"x")] * 4, [(i,) for i in range(4)])
    pair.server.h2.close_connection(0, b"bye", last_stream_id=5)
    pair.settle()
    assert [ticket for _, ticket in pair.client.take_refused()] == [(3,)]
    assert not pair.reader.other
    assert pair.client.closing and pair.reader.last.closing
    assert sorted(pair.client.live) == [1, 3, 5]
    with pytest.raises(ValueError, match="no room"):
        pair.client.send([encode(HEAD, b"x")], [(9,)])


def test_the_header_table_changes_in_mid_run():
    pair = Pair(Connection("host:8001"))
    heads = [Head(b"/s/m%d" % i, ((b"x-n", b"%d" % i),)) for i in range(4)]

    def check() -> None:
        ids = range(pair.client._streams.next_id, pair.client._streams.next_id + 24, 2)
        pair.send([encode(heads[i % 4], b"x") for i in range(12)], [(i,) for i in range(12)])
        paths = [dict(pair.server.heads[i])[b":path"] for i in ids]
        assert paths == [heads[i % 4].path for i in range(12)]
        for stream_id in ids:
            pair.server.respond(stream_id, b"y")
        pair.settle()

    check()
    for size in (0, 200, 4096, 65_536, 300, 0, 4096):
        pair.server.change(HEADER_TABLE_SIZE=size)
        pair.settle()
        check()
    pair.server.change(HEADER_TABLE_SIZE=0)
    pair.server.change(HEADER_TABLE_SIZE=4096)  # two changes before the next block
    pair.settle()
    check()
    assert len(pair.reader.ok) == 9 * 12


def test_stream_ids_run_out():
    pair = Pair(Connection("host:8001", max_stream_id=7))
    assert pair.client.room_for_ids == 4
    pair.send([encode(HEAD, b"x")] * 3, [(i,) for i in range(3)])
    assert pair.client.room_for_ids == 1 and not pair.client.closing
    with pytest.raises(ValueError, match="no room for 2"):
        pair.client.send([encode(HEAD, b"x")] * 2, [(8,), (9,)])
    pair.send([encode(HEAD, b"x")], [(3,)])
    assert pair.client.closing and pair.client.room_for_ids == 0
    for stream_id in (1, 3, 5, 7):
        pair.server.respond(stream_id, b"y")
    pair.settle()
    assert len(pair.reader.ok) == 4


def test_an_answer_before_the_whole_request_stops_the_sending():
    pair = Pair(Connection("host:8001"), {S.INITIAL_WINDOW_SIZE: 1000})
    pair.settle()
    pair.server.acknowledge = False
    pair.send([encode(HEAD, BIG)], [(1,)])
    pair.server.h2.send_headers(1, [*GRPC, ("grpc-status", "8")], end_stream=True)
    pair.settle()
    assert pair.reader.other == [((1,), Status.RESOURCE_EXHAUSTED, b"")]
    resets = [e for e in pair.server.events if isinstance(e, h2.events.StreamReset)]
    assert [(e.stream_id, e.error_code) for e in resets] == [(1, 0)]
    assert pair.client.waiting == 0


def test_header_blocks_longer_than_a_frame_are_continued(fast):
    pair = Pair(Connection("host:8001", fast=fast))
    long = Head(b"/s/m", tuple((b"x-%d" % i, b"v" * 3000) for i in range(12)))
    pair.send(
        [encode(long, b"x"), encode(HEAD, b"y"), encode(long, b"z"), encode(HEAD, BIG)],
        [(i,) for i in range(4)],
    )
    pair.send([encode(HEAD, b"y"), encode(long, b"x"), encode(HEAD, b"z")], [(i,) for i in range(3)])
    assert sorted(pair.server.done) == [1, 3, 5, 7, 9, 11, 13]
    assert dict(pair.server.heads[11])[b"x-11"] == b"v" * 3000
    assert dict(pair.server.heads[13])[b":path"] == HEAD.path


def test_an_expired_request_that_was_never_sent_is_only_reported():
    pair = Pair(Connection("host:8001"), {S.MAX_CONCURRENT_STREAMS: 1})
    pair.settle()
    pair.send([encode(HEAD, b"x")] * 3, [(i,) for i in range(3)])
    pair.client.live[3] = None
    pair.server.respond(1, b"y")
    pair.settle()
    assert pair.reader.other == [(None, Status.CANCELLED, b"")]
    assert pair.server.done == [1, 5]
