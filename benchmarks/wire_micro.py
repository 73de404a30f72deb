"""Cost of wire/ alone, in nanoseconds: a response taken (general parser, fast path) and a request sent.

Run: python benchmarks/wire_micro.py. Responses are what Triton sends for 64 bytes of FP32 from its cache:
a header block of 78 bytes, 115 bytes of DATA, a trailer block of 15. Nothing is asserted.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

from hpack import Encoder

from triton_users.wire import Connection, Encoded, Head, encode, frames

BATCHES = (1, 4, 16, 64)
TOTAL = 32_768
ROUNDS = 7

HEAD = Head(b"/inference.GRPCInferenceService/ModelInfer")
MESSAGE = bytes(range(110))
FIELDS = [
    (":status", "200"),
    ("content-type", "application/grpc"),
    ("grpc-encoding", "identity"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
]


def connection(fast: bool) -> Connection:
    made = Connection("127.0.0.1:8001", fast=fast)
    made.start()
    settings = frames.settings({4: 2**22, 5: 2**22})
    made.receive(memoryview(settings + frames.window_update(0, 2**30)))
    return made


def entered(client: Connection) -> tuple[bytes, bytes]:
    """The header block and the trailers of every response but the first, which has entered their fields into
    the client's table."""
    encoder = Encoder()
    client.send([encode(HEAD, b"x")], [(0, 0, 0)])
    first, again = ((encoder.encode(FIELDS), encoder.encode([("grpc-status", "0")])) for _ in range(2))
    client.receive(memoryview(response(1, *first)))
    return again


def response(stream_id: int, head: bytes, trailers: bytes) -> bytes:
    body = b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE
    return b"".join(
        (
            frames.head(len(head), frames.HEADERS, frames.END_HEADERS, stream_id),
            head,
            frames.head(len(body), frames.DATA, 0, stream_id),
            body,
            frames.head(len(trailers), frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id),
            trailers,
        )
    )


def receive_ns(fast: bool, batch: int, call: bool = False) -> float:
    """ns per response, the best of several rounds; ``call``: every ticket wants its message."""
    best = float("inf")
    for _ in range(ROUNDS):
        client = connection(fast)
        head, trailers = entered(client)
        item = encode(HEAD, b"x" * 100)
        ids = range(3, 2 * TOTAL + 2, 2)
        views = [
            memoryview(bytearray(b"".join(response(i, head, trailers) for i in ids[k : k + batch])))
            for k in range(0, TOTAL, batch)
        ]
        client.send([item] * TOTAL, [object() if call else (i, i, 0) for i in ids])
        begin = time.perf_counter_ns()
        for view in views:
            front = client.take_front(view, len(view))
            if isinstance(front, int):
                client.receive(view[front:])
        best = min(best, (time.perf_counter_ns() - begin) / TOTAL)
        assert not client.live
    return best


def requests(classes: int) -> Iterator[Encoded]:
    heads = [HEAD, Head(b"/inference.GRPCInferenceService/ModelInfer", ((b"x-class", b"2"),))]
    items = [encode(heads[i % classes], bytes([i]) * (100 + i % classes)) for i in range(64)]
    while True:
        yield from items


def send_ns(batch: int, classes: int = 1) -> float:
    """ns per request, building the batch's buffer included."""
    best = float("inf")
    for _ in range(ROUNDS):
        client = connection(True)
        source = requests(classes)
        batches = [[next(source) for _ in range(batch)] for _ in range(0, TOTAL, batch)]
        tickets = [[(i, i, 0) for i in range(batch)] for _ in range(0, TOTAL, batch)]
        begin = time.perf_counter_ns()
        for encoded, booked in zip(batches, tickets, strict=True):
            client.send(encoded, booked)
        best = min(best, (time.perf_counter_ns() - begin) / TOTAL)
    return best


def main() -> None:
    gc.disable()
    print(f"{'batch':>28}" + "".join(f"{batch:>8}" for batch in BATCHES))
    rows = {
        "receive, general": [receive_ns(False, batch) for batch in BATCHES],
        "receive, fast": [receive_ns(True, batch) for batch in BATCHES],
        "receive, fast, message kept": [receive_ns(True, batch, call=True) for batch in BATCHES],
        "send, one class": [send_ns(batch) for batch in BATCHES],
        "send, two classes mixed": [send_ns(batch, classes=2) for batch in BATCHES],
    }
    for name, values in rows.items():
        print(f"{name:>28}" + "".join(f"{value:>8.0f}" for value in values))


if __name__ == "__main__":
    main()
