"""Servers that use our header table: equal bytes mean the same only while it stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wire_conversation import run
from tests.unit.wire_server import (
    GRPC_HEADERS,
    OK_TRAILERS,
    Pair,
    block,
    data,
    frame,
    headers,
    opened,
    prefixed,
)
from tests.unit.wire_table import SIZES
from triton_users.wire import Connection, Head, ProtocolError, encode, frames
from triton_users.wire.headers import MOST_CHANGES, ResponseBlocks
from triton_users.wire.settings import NO_TABLE

ENTER_0, ENTER_5 = (b"\x40\x0bgrpc-status\x01" + status for status in (b"0", b"5"))
"""Trailers that enter their only field into the table; the latest entry has index 62."""
LATEST = b"\xbe"

each_path = pytest.mark.parametrize("fast", [True, False])


def trailers(stream_id: int, raw: bytes) -> bytes:
    return frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, raw)


def answer(stream_id: int, end: bytes) -> bytes:
    return headers(stream_id, GRPC_HEADERS) + data(stream_id, prefixed(b"m")) + trailers(stream_id, end)


def ends(answers: Sequence[bytes], fast: bool) -> list[int]:
    """The statuses of one answer after the other, each in a reading of its own."""
    tickets = [(i,) for i in range(len(answers))]
    stream = b"".join(answers)
    cuts = [sum(map(len, answers[: i + 1])) for i in range(len(answers) - 1)]
    outcome = run(tickets, stream, cuts, fast=fast)
    assert outcome.fault is None
    return outcome.statuses(tickets)


@each_path
def test_the_same_bytes_mean_another_status_after_a_change(fast: bool) -> None:
    said = [answer(1, ENTER_0), *[answer(i, LATEST) for i in (3, 5, 7, 9)]]
    said += [answer(11, ENTER_5), *[answer(i, LATEST) for i in (13, 15, 17, 19)], answer(21, ENTER_0)]
    said += [answer(23, LATEST)]
    assert ends(said, fast) == [0] * 5 + [5] * 5 + [0] * 2


@each_path
def test_a_change_within_one_reading(fast: bool) -> None:
    said = [
        answer(1, ENTER_0),
        *[answer(i, LATEST) for i in (3, 5, 7)],
        answer(9, ENTER_5),
        answer(11, LATEST),
    ]
    outcome = run([(i,) for i in range(6)], b"".join(said), fast=fast)
    assert outcome.ok == [(0,), (1,), (2,), (3,)]
    assert [status for _, status, _ in outcome.other] == [5, 5]


@each_path
def test_a_stream_that_has_ended_changes_the_table_too(fast: bool) -> None:
    said = [answer(1, ENTER_0), *[answer(i, LATEST) for i in (3, 5, 7)]]
    said += [trailers(1, ENTER_5) + answer(9, LATEST)]
    assert ends(said, fast) == [0] * 4 + [5]


@each_path
def test_a_broken_block_of_a_stream_that_has_ended(fast: bool) -> None:
    """What it would have done to the table is not known: nothing behind it can be read."""
    connection = opened(2, fast=fast)
    with pytest.raises(ProtocolError, match="cannot be decoded") as caught:
        connection.receive(memoryview(answer(1, ENTER_0) + trailers(1, b"\xff" * 6) + answer(3, LATEST)))
    assert caught.value.received is not None
    assert caught.value.received.ok == [(0,)]


def test_the_fast_path_takes_responses_that_use_the_table(general_frames: list[int]) -> None:
    """All but the one that enters its fields, and two more."""
    encoder, stream = Encoder(), b""
    for i in range(1, 80, 2):
        stream += frame(frames.HEADERS, frames.END_HEADERS, i, encoder.encode(GRPC_HEADERS))
        stream += data(i, prefixed(b"m")) + trailers(i, encoder.encode(OK_TRAILERS))
    connection = opened(40)
    general_frames.clear()
    assert len(connection.receive(memoryview(stream)).ok) == 40
    assert len(general_frames) == 3 * 3


@each_path
def test_a_server_whose_fields_do_not_repeat_is_asked_to_leave_the_table_empty(fast: bool) -> None:
    pair = Pair(Connection("host:8001", fast=fast))
    changes, count = [], MOST_CHANGES + 40
    item = encode(Head(b"/s/m"), b"x")
    for i in range(count):
        pair.send([item], [(i,)])
        pair.server.respond(2 * i + 1, b"m", [*OK_TRAILERS, ("x-n", str(i))])
        pair.settle()
        changes.append(pair.client._response_blocks.changes)
    assert len(pair.reader.ok) == count
    assert pair.reader.out.count(NO_TABLE) == 1
    assert changes[-1] == changes[-30] == MOST_CHANGES + 1  # the last one empties it
    assert pair.client._response_blocks._table() == (0, ())


def test_a_server_whose_fields_repeat_keeps_the_table() -> None:
    pair = Pair(Connection("host:8001"))
    item = encode(Head(b"/s/m"), b"x")
    for i in range(2 * MOST_CHANGES):
        pair.send([item], [(i,)])
        pair.server.respond(2 * i + 1, b"m", [*OK_TRAILERS, ("x-n", str(i % 4))])
        pair.settle()
    assert NO_TABLE not in pair.reader.out
    assert pair.client._response_blocks.changes < 10


FIELDS = st.sampled_from(
    [(b"grpc-status", b"%d" % i) for i in range(3)] + [(b"grpc-message", b"m%d" % i) for i in range(4)]
)


@given(st.lists(st.tuples(st.lists(FIELDS, max_size=3), st.sampled_from((*SIZES, None))), max_size=40))
def test_what_is_remembered_is_what_a_decoder_would_say(
    said: list[tuple[list[tuple[bytes, bytes]], int | None]],
) -> None:
    """Among them blocks that change its size, or nothing; a size makes a block mean the same again."""
    encoder, decoder, blocks = Encoder(), Decoder(), ResponseBlocks()
    for fields, size in said:
        if size is not None:
            encoder.header_table_size = size
        raw = encoder.encode(fields)
        expected = dict(decoder.decode(raw, raw=True))
        found = blocks.block(raw)
        status = expected.get(b"grpc-status")
        assert found.status == (None if status is None else int(status))
        assert found.message == expected.get(b"grpc-message", b"")
        assert blocks._table() == (decoder.header_table.maxsize, tuple(decoder.header_table.dynamic_entries))


def test_a_field_that_is_entered_again_is_there_twice() -> None:
    blocks = ResponseBlocks()
    for count in (1, 2, 3):
        assert blocks.block(ENTER_0).status == 0
        assert blocks._table() == (4096, ((b"grpc-status", b"0"),) * count)


def test_a_size_that_comes_again_is_obeyed_again() -> None:
    """A block that only makes the table smaller, and one that makes it larger, each twice."""
    small, large = b"\x3f\x0a" + block(OK_TRAILERS), b"\x3f\xe1\x1f" + block(OK_TRAILERS)
    blocks = ResponseBlocks()
    for raw, size in ((small, 41), (large, 4096)) * 2:
        assert blocks.block(raw).status == 0
        assert blocks._table() == (size, ())
    assert blocks.changes == 4
