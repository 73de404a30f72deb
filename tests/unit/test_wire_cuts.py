"""However the byte stream is cut, and with or without the fast path, the outcome is the same and true."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wire_conversation import ASIDES, BAD, GOOD, Call, check, converse, plain, run, together
from tests.unit.wire_server import GRPC_HEADERS, OK_TRAILERS, Reader, data, frame, headers, opened, prefixed
from tests.unit.wire_table import with_table
from triton_users.wire import frames
from triton_users.wire.fast import MAX_PATTERNS


def recorded():
    """All kinds of responses once, and enough equal ones for patterns of two classes."""
    kinds = [together] * 8 + [*GOOD, *BAD] + [together] * 4
    wants = ["tuple"] * len(kinds)
    for i in (3, 7, 9, 11, 20, 26):
        wants[i] = "call"
    wants[5] = wants[13] = "expired"
    messages = [bytes([i]) * (20 if i % 2 else 33) for i in range(len(kinds))]
    order = random.Random(4)
    conversation = converse(kinds, wants, messages, order)
    conversation.stream += b"".join(ASIDES)
    return conversation


CONVERSATION = recorded()
STREAMS = {
    "literals": CONVERSATION.stream,
    "a table": with_table(CONVERSATION.stream, random.Random(4)),
}
WHOLE = run(CONVERSATION.tickets, CONVERSATION.stream, fast=False)

each_path = pytest.mark.parametrize("fast", [True, False])
each_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


def test_the_recorded_conversation_comes_out_right():
    check(CONVERSATION, WHOLE)


@each_path
@each_stream
def test_every_cut_in_two(fast, stream):
    for cut in range(len(stream)):
        outcome = run(CONVERSATION.tickets, stream, [cut], fast=fast)
        assert outcome.key() == WHOLE.key(), cut


@each_path
@each_stream
def test_byte_by_byte(fast, stream):
    reader = Reader(opened(len(CONVERSATION.tickets), CONVERSATION.tickets, fast=fast, window=65_535))
    for byte in stream:
        reader.feed(bytes([byte]))
    assert sorted(reader.ok) == sorted(WHOLE.ok)
    assert sorted(map(repr, reader.other)) == sorted(map(repr, WHOLE.other))
    assert reader.out == WHOLE.out


def test_the_fast_path_takes_what_it_should(general_frames):
    """Otherwise agreement would prove nothing: all but the first two of each length."""
    stream = b"".join(together(2 * i + 1, bytes(10 + i % 2))[0][0] for i in range(40))
    connection = opened(40)
    general_frames.clear()
    assert len(connection.receive(memoryview(stream)).ok) == 40
    assert len(general_frames) == 3 * 4


def test_a_changed_header_block_makes_a_new_pattern():
    connection = opened(12, fast=True)
    first = b"".join(together(2 * i + 1, b"m")[0][0] for i in range(4))
    longer = [(":status", "200"), ("content-type", "application/grpc"), ("x", "y")]
    second = b"".join(
        headers(i, longer) + data(i, prefixed(b"m")) + headers(i, OK_TRAILERS, end=True)
        for i in range(9, 24, 2)
    )
    assert len(connection.receive(memoryview(first + second)).ok) == 12


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("want", ["tuple", "call", "expired"])
def test_large_frames_in_parts(fast, skip, want):
    """100 kB in frames of 50 kB through windows of 65,535: skipped or kept, acknowledged the same."""
    message = random.Random(1).randbytes(100_000)
    body = prefixed(message)
    head, _, trailers = plain(1, message)[0]
    half = frame(frames.DATA, frames.PADDED, 1, b"\x08" + body[:50_000] + bytes(8))
    stream = head + half + data(1, body[50_000:]) + data(1, b"") + trailers
    conversation = converse([plain], [want], [message], random.Random(2))
    conversation.stream = stream
    whole = run(conversation.tickets, stream, fast=False)
    check(conversation, whole)
    for step in (1000, 7777, 40_000):
        parts = run(conversation.tickets, stream, range(step, len(stream), step), fast=fast, skip=skip)
        assert parts.key() == whole.key()


def test_skip_is_what_nobody_wants_and_never_the_end():
    connection = opened(1)
    stream = data(1, prefixed(bytes(99_995)), end=True)
    start = plain(1, b"")[0][0] + stream[:12]
    assert connection.receive(memoryview(start)).skip == 0  # the prefix is still incomplete
    got = connection.receive(memoryview(stream)[12:20])
    assert got.skip == 9 + 100_000 - 20 - 1
    connection.skipped(50_000)
    with pytest.raises(ValueError, match="cannot be skipped"):
        connection.skipped(got.skip)
    connection.skipped(got.skip - 50_000)
    got = connection.receive(memoryview(b"\0"))
    assert [(status, payload) for _, status, payload in got.other] == [
        (13, b"the response ended without trailers")
    ]
    with pytest.raises(ValueError, match="cannot be skipped"):
        connection.skipped(1)


def test_a_skipped_frame_without_an_end_is_done_with():
    connection = opened(1)
    stream = plain(1, b"")[0][0] + data(1, prefixed(bytes(99_995)))
    got = connection.receive(memoryview(stream)[:500])
    connection.skipped(got.skip)
    assert connection.receive(memoryview(plain(1, b"")[0][2])).ok == [(0,)]


def test_a_call_that_expires_in_mid_message_is_skipped_from_then_on():
    connection = opened(1, [object()])
    stream = plain(1, b"")[0][0] + data(1, prefixed(bytes(99_995)))
    assert connection.receive(memoryview(stream)[:500]).skip == 0
    connection.live[1] = None
    assert connection.receive(memoryview(b"")).skip == len(stream) - 500


WINDOW = 2 * 40_005
"""An honest server, whose longest DATA frame is half of it, never oversteps it: we top it up at half."""

KINDS = st.sampled_from([*GOOD, *[together] * 6, *BAD])
RESPONSES = st.lists(
    st.tuples(
        KINDS,
        st.sampled_from(["tuple", "tuple", "tuple", "call", "expired"]),
        st.sampled_from([0, 1, 20, 20, 20, 33, 33, 300, 17_000, 40_000]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=400)
@given(RESPONSES, st.integers(0, 2**32), st.lists(st.floats(0, 1), max_size=8), st.booleans(), st.booleans())
def test_any_mix_in_any_cuts(responses, seed, cuts, skip, table):
    kinds, wants, sizes = zip(*responses, strict=True)
    messages = [bytes([i]) * size for i, size in enumerate(sizes)]
    conversation = converse(kinds, wants, messages, random.Random(seed))
    stream = with_table(conversation.stream, random.Random(seed)) if table else conversation.stream
    places = sorted(int(cut * len(stream)) for cut in cuts)
    whole = run(conversation.tickets, stream, fast=False, window=WINDOW)
    check(conversation, whole)
    for fast, parts in itertools.product((True, False), ([], places)):
        outcome = run(conversation.tickets, stream, parts, fast=fast, skip=skip, window=WINDOW)
        assert outcome.key() == whole.key()


def test_patterns_are_bounded_and_a_message_of_any_length_is_taken():
    connection = opened(600, [*[(i,) for i in range(300)], *[Call(i) for i in range(300)]])
    messages = [bytes(i // 2 % 100) for i in range(600)]
    stream = b"".join(together(2 * i + 1, message)[0][0] for i, message in enumerate(messages))
    got = connection.receive(memoryview(stream))
    assert len(got.ok) == 300
    assert {ticket.number: payload for ticket, _, payload in got.other} == dict(enumerate(messages[300:]))
    assert connection._patterns is not None
    assert 0 < len(connection._patterns._known) <= MAX_PATTERNS


@pytest.mark.parametrize("fast", [True, False])
def test_expired_requests_in_a_batch_of_known_responses(fast):
    connection = opened(20, fast=fast)
    for stream_id in range(1, 40, 6):
        connection.live[stream_id] = None
    got = connection.receive(memoryview(b"".join(together(i, b"m")[0][0] for i in range(1, 40, 2))))
    assert got.other == [(None, 0, b"")] * 7 and len(got.ok) == 13


@pytest.mark.parametrize("fast", [True, False])
def test_windows_are_topped_up_at_the_same_byte(fast):
    """40 responses of 4,005 bytes through a window of 65,535: an update whenever half of it was used."""
    connection = opened(40, fast=fast, window=65_535)
    stream = b"".join(together(i, bytes(4000))[0][0] for i in range(1, 80, 2))
    got = connection.receive(memoryview(stream))
    assert len(got.ok) == 40
    assert got.out == [frames.window_update(0, 9 * 4005)] * 4


def test_a_stream_has_its_own_window_topped_up():
    connection = opened(1, window=65_535)
    head, _, _ = plain(1, b"")[0]
    got = connection.receive(memoryview(head + data(1, prefixed(bytes(16_000))) + data(1, bytes(16_380))))
    assert got.out == []
    got = connection.receive(memoryview(data(1, bytes(1000))))
    assert got.out == [frames.window_update(0, 33_385), frames.window_update(1, 33_385)]


@pytest.mark.parametrize("fast", [True, False])
def test_failures_are_no_pattern(fast):
    """Equal in form to a success, and as often: only what the blocks say differs."""
    connection = opened(8, fast=fast)
    bad = [(":status", "200"), ("content-type", "text/html")]
    late = [("grpc-status", "7")]
    stream = b""
    for i in (1, 3, 5, 7):
        stream += headers(i, GRPC_HEADERS) + data(i, prefixed(b"m")) + headers(i, late, end=True)
    for i in (9, 11, 13, 15):
        stream += headers(i, bad) + data(i, prefixed(b"m")) + headers(i, OK_TRAILERS, end=True)
    got = connection.receive(memoryview(stream))
    assert [status for _, status, _ in got.other] == [7] * 4 + [2] * 4


def test_every_flipped_bit_of_a_known_response():
    """The fast path compares all that is not the message: no bit may differ unnoticed."""
    known = b"".join(together(i, b"message")[0][0] for i in (1, 3, 5))
    last = together(7, b"message")[0][0] + together(9, b"message")[0][0]
    tickets = [(i,) for i in range(5)]
    for bit in range(8 * len(last) // 2):
        stream = bytearray(known + last)
        stream[len(known) + bit // 8] ^= 1 << bit % 8
        fast, general = (run(tickets, bytes(stream), fast=fast) for fast in (True, False))
        assert fast.key() == general.key(), bit
