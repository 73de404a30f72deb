"""A request sent alone leaves as it would in a batch of one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.wire_server import GRPC_HEADERS, OK_TRAILERS, data, headers, prefixed
from triton_users.wire import Connection, Encoded, Head, encode, frames

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


def connection() -> Connection:
    made = Connection("host:8001", max_stream_id=41)
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
    alone, batch = connection(), connection()
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
