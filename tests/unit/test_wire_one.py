"""A request sent alone leaves as it would in a batch of one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wire_server import GRPC_HEADERS, OK_TRAILERS, data, headers, prefixed
from triton_users.wire import Connection, Encoded, Head, encode, frames
from triton_users.wire.windows import DEFAULT_WINDOW

HEADS = [
    Head(b"/s/m"),
    Head(b"/s/other", ((b"x-key", b"value"),)),
    Head(b"/s/long", tuple((b"x-%d" % i, b"v" * 3000) for i in range(8))),  # more than a frame, and the table
]
BODIES = [b"", b"a" * 64, b"b" * 16_000, b"c" * 40_000]
ITEMS = [encode(head, body) for head in HEADS for body in BODIES]

step = st.one_of(
    st.sampled_from(ITEMS),
    st.sampled_from(ITEMS[1:2]),  # mostly the same, as in a run
    st.builds(lambda n: frames.window_update(0, n), st.integers(1, 50_000)),
    st.builds(lambda n: frames.settings({4: n}), st.integers(0, 70_000)),
    st.builds(lambda n: frames.settings({3: n}), st.integers(0, 6)),
    st.builds(lambda n: frames.settings({1: n}), st.sampled_from([0, 64, 4096])),
    st.just(None),  # the oldest stream is answered
)


def connection(last_id: int = frames.MAX_ID) -> Connection:
    made = Connection("host:8001", max_stream_id=last_id)
    made.start()
    made.receive(memoryview(frames.settings({})))
    return made


def answered(made: Connection) -> bytes:
    stream_id = next(iter(made.live), 0)
    if not stream_id or made.waiting:
        return b""
    body = data(stream_id, prefixed(b"answer"))
    return headers(stream_id, GRPC_HEADERS) + body + headers(stream_id, OK_TRAILERS, end=True)


@settings(deadline=None)
@given(st.lists(step, max_size=40))
def test_the_same_bytes(steps: list[Encoded | bytes | None]) -> None:
    alone, batch = connection(21), connection(21)
    for number, what in enumerate(steps):
        if isinstance(what, Encoded):
            if not batch.room_for_ids:
                assert alone.send_one(what, (number,)) is None
                with pytest.raises(ValueError, match="no room for 1"):
                    batch.send([what], [(number,)])
                continue
            one, many = alone.send_one(what, (number,)), batch.send([what], [(number,)])
            if one is None:
                one = b"".join(alone.send([what], [(number,)]))
            assert one == b"".join(many)
        else:
            came = answered(batch) if what is None else what
            ours, theirs = alone.receive(memoryview(came)), batch.receive(memoryview(came))
            assert (ours.ok, ours.other, b"".join(ours.out)) == (
                theirs.ok,
                theirs.other,
                b"".join(theirs.out),
            )
        assert alone.live == batch.live
        assert (alone.waiting, alone.closing) == (batch.waiting, batch.closing)


def data_sent(out: bytes) -> dict[int, int]:
    """Bytes of DATA by stream."""
    sent: dict[int, int] = {}
    while out:
        high, low, kind, _, stream_id = frames.HEAD.unpack_from(out)
        length = high << 16 | low
        assert length <= frames.SMALLEST_MAX_FRAME_SIZE
        if kind == frames.DATA:
            sent[stream_id] = sent.get(stream_id, 0) + length
        out = out[9 + length :]
    return sent


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_the_connections_window_is_used_up_and_no_more(at_once: int) -> None:
    made, out = connection(), b""
    for number in range(18 // at_once):
        one = made.send_one(ITEMS[2], (number,)) if at_once == 1 else None
        out += one or b"".join(made.send([ITEMS[2]] * at_once, [(number,)] * at_once))
    assert sum(data_sent(out).values()) == DEFAULT_WINDOW
    assert made.waiting == 18 - DEFAULT_WINDOW // ITEMS[2].size


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize(("stream_window", "body"), [(10, b"a" * 64), (2**20, b"c" * 40_000)])
def test_known_heads_with_bodies_that_do_not_fit(stream_window: int, body: bytes, at_once: int) -> None:
    """No stream gets more than its window, no frame is larger than the server takes."""
    made = connection()
    for number in range(3):
        made.send([ITEMS[0]] * 2, [(number,)] * 2)
    made.receive(memoryview(frames.settings({4: stream_window})))
    item = encode(HEADS[0], body)
    assert made.send_one(item, (3,)) is None
    out = b"".join(made.send([item] * at_once, [(3,)] * at_once))
    sent = data_sent(out)
    assert max(sent.values()) <= stream_window
    assert 0 < sum(sent.values()) <= DEFAULT_WINDOW - 6 * ITEMS[0].size
    assert made.waiting or (at_once == 1 and stream_window > len(body))


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_last_stream_id_closes_the_connection(at_once: int) -> None:
    made = connection(17)
    made.send([ITEMS[0]] * 2 + [ITEMS[1]], [(0,)] * 3)
    for number in range(6 // at_once):
        assert not made.closing
        one = made.send_one(ITEMS[0], (number,)) if at_once == 1 else None
        assert one or made.send([ITEMS[0]] * at_once, [(number,)] * at_once)
    assert made.closing
    assert made.room_for_ids == 0


def test_after_a_goaway_nothing_is_sent() -> None:
    made = connection()
    for number in range(2):
        made.send([ITEMS[0]], [(number,)])
    made.receive(memoryview(frames.head(8, frames.GOAWAY, 0, 0) + bytes([0, 0, 0, 3]) + bytes(4)))
    assert made.send_one(ITEMS[0], (2,)) is None
    with pytest.raises(ValueError, match="no room for 1"):
        made.send([ITEMS[0]], [(2,)])
    assert list(made.live) == [1, 3]
