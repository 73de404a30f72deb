"""Header blocks: a few bytes the second time, never a wrong entry, never more memory than allowed."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hpack import Decoder

from tests.unit.wire_server import block, frame, opened
from triton_users.wire import Connection, Head, Status, encode, frames
from triton_users.wire.headers import (
    MAX_CACHED_BLOCKS,
    MAX_CACHED_HEADS,
    RequestBlocks,
    ResponseBlocks,
    percent_decode,
)


class Peer:
    """Decodes every block in order, as the server does."""

    def __init__(self) -> None:
        self.decoder = Decoder()

    def check(self, block: bytes, head: Head) -> None:
        fields = self.decoder.decode(block, raw=True)
        assert dict(fields)[b":path"] == head.path
        assert tuple((bytes(n), bytes(v)) for n, v in fields[8:]) == head.headers


def test_the_second_block_is_a_few_bytes():
    blocks, peer = RequestBlocks("host:8001", "http"), Peer()
    head = Head(b"/inference.GRPCInferenceService/ModelInfer", ((b"x-key", b"value"),))
    first, second, third = (blocks.block(head) for _ in range(3))
    for each in (first, second, third):
        peer.check(each, head)
    assert len(first) > 80 and len(second) == len(second.strip(b"\0")) == 9 and third is second


def test_any_sequence_of_heads_and_table_sizes_is_decoded_right():
    order = random.Random(3)
    for _ in range(20):
        blocks, peer = RequestBlocks("host:8001", "https"), Peer()
        heads = [
            Head(
                b"/s/%d" % (i % 7),
                ((b"x-%d" % (i % 3), order.randbytes(order.choice((3, 300))).hex().encode()),),
            )
            for i in range(40)
        ]
        for _ in range(300):
            if order.random() < 0.02:
                size = order.choice((0, 100, 1000, 4096, 65_536))
                blocks.resize(size)
                peer.decoder.max_allowed_table_size = size
            head = order.choice(heads)
            peer.check(blocks.block(head), head)
            assert peer.decoder.header_table._current_size <= peer.decoder.max_allowed_table_size


def test_a_full_table_leaves_later_heads_as_literals_and_earlier_ones_short():
    blocks, peer = RequestBlocks("host:8001", "http"), Peer()
    load = Head(b"/load")
    for head in (load, load):
        peer.check(blocks.block(head), head)
    for i in range(200):
        head = Head(b"/control/%d" % i, ((b"grpc-timeout", b"%dm" % i),))
        peer.check(blocks.block(head), head)
    assert len(blocks.block(load)) <= 16
    peer.check(blocks.block(load), load)


def test_what_is_remembered_is_bounded():
    blocks = RequestBlocks("host:8001", "http")
    heads = [Head(b"/s/%d" % i) for i in range(3 * MAX_CACHED_HEADS)]
    for head in heads:
        blocks.block(head)
        assert len(blocks._cache) <= MAX_CACHED_HEADS
        assert len(blocks.openings) <= MAX_CACHED_HEADS
    equal = [Head(b"/same") for _ in range(2 * MAX_CACHED_HEADS)]
    for head in equal:
        blocks.block(head)
        assert len(blocks.openings) <= MAX_CACHED_HEADS
    responses = ResponseBlocks()
    for i in range(3 * MAX_CACHED_BLOCKS):
        responses.block(block([("grpc-status", "5"), ("grpc-message", f"{i}")]))
        assert len(responses._cache) <= MAX_CACHED_BLOCKS
    long = block([("grpc-status", "5"), ("grpc-message", "x" * 5000)])
    assert responses.block(long).message == b"x" * 5000 and responses.remembered(long) is None


def test_a_new_table_size_is_announced_once_from_zero():
    blocks = RequestBlocks("host:8001", "http")
    blocks.block(Head(b"/s"))
    blocks.resize(0)
    assert blocks.block(Head(b"/s"))[:1] == b"\x20"
    assert blocks.block(Head(b"/s"))[:1] != b"\x20"
    blocks.resize(0)
    assert blocks.block(Head(b"/s"))[:1] != b"\x20"
    blocks.resize(300)
    blocks.resize(100_000)
    assert blocks.block(Head(b"/s"))[:5] == b"\x20\x3f\xe1\x1f\x83"  # 0, then 4,096, then :method POST


def test_openings_follow_the_table() -> None:
    """The first request of a head changes the indices that the others were built with."""
    connection, peer = opened(0), Peer()
    a, b = Head(b"/a", ((b"x-a", b"1"),)), Head(b"/b", ((b"x-b", b"2"),))
    at_once = []
    for order in ([a, a], [a, a], [a, b, a, b, b, a], [a, b, a], [b, a]):
        buffers = connection.send([encode(head, b"m") for head in order], [(i,) for i in range(len(order))])
        out = b"".join(buffers)
        for head in order:
            length = int.from_bytes(out[:3], "big")
            peer.check(out[9 : 9 + length], head)
            out = out[9 + length + 9 + 6 :]
        assert not out
        at_once.append(len(buffers) == 1)
    assert at_once == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"a%20b%C3%a9", "a bé"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"%+1", "%+1"),
        (b"%ff", "\ufffd"),
        (b"", ""),
    ],
)
def test_messages_are_percent_decoded_and_nothing_is_lost(raw, text):
    assert percent_decode(raw) == text.encode()


def test_statuses():
    assert Status.from_http(418) is Status.UNKNOWN and Status.from_http(400) is Status.INTERNAL
    assert Status.from_rst(5) is Status.UNKNOWN and Status.from_rst(0) is Status.INTERNAL
    assert [int(s) for s in Status] == list(range(17))


@pytest.mark.parametrize("max_frame_size", [2**14, 2**22])
def test_a_64_mib_tensor_is_never_copied(max_frame_size):
    """Beyond the body itself: a head and a slice per frame. Triton's largest frame is 4 MiB."""
    item = encode(Head(b"/s/m"), bytes(64 * 2**20))
    connection = Connection("host:8001")
    connection.start()
    allow = frames.settings({4: 2**31 - 1, 5: max_frame_size}) + frames.window_update(0, 2**30)
    connection.receive(memoryview(allow))
    tracemalloc.start()
    out = connection.send([item], [(1,)])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    slices = out[2::2]
    assert sum(map(len, slices)) == item.size
    assert all(isinstance(part, memoryview) and part.obj is item.body for part in slices)
    assert peak_bytes < 20_000 + 256 * len(slices)


def test_a_large_frame_that_is_skipped_takes_no_memory():
    connection = opened(1)
    head = frames.head(2**24 - 1, frames.DATA, 0, 1) + b"\0" + (2**24 - 6).to_bytes(4, "big")
    start = frame(frames.HEADERS, 4, 1, block([(":status", "200"), ("content-type", "application/grpc")]))
    got = connection.receive(memoryview(start + head))
    assert got.skip == 2**24 - 6
    connection.skipped(got.skip)
    end = frame(frames.HEADERS, 5, 1, block([("grpc-status", "0")]))
    assert connection.receive(memoryview(end)).ok == [(0,)]
