"""An in-memory gRPC server on h2, and small builders of frames: what the client in wire/ talks to."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import h2.config
import h2.connection
import h2.events
import h2.settings
from hpack import Encoder

from triton_users.wire import Connection, Received, frames

GRPC_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
OK_TRAILERS = [("grpc-status", "0")]
SETTINGS = frames.settings({})


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frames.head(len(payload), kind, flags, stream_id) + payload


def block(headers: Iterable[tuple[str, str]]) -> bytes:
    """A header block that neither uses nor changes the table."""
    return Encoder().encode([(name, value, True) for name, value in headers])


def headers(stream_id: int, fields: Iterable[tuple[str, str]], end: bool = False) -> bytes:
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
    return frame(frames.HEADERS, flags, stream_id, block(fields))


def data(stream_id: int, payload: bytes, end: bool = False) -> bytes:
    return frame(frames.DATA, frames.END_STREAM if end else 0, stream_id, payload)


def answer(stream_id: int, message: bytes = b"answer") -> bytes:
    """A whole successful response in three frames."""
    head = headers(stream_id, GRPC_HEADERS)
    return head + data(stream_id, prefixed(message)) + headers(stream_id, OK_TRAILERS, end=True)


class Server:
    """h2's server side: what it saw, by stream, and how it answers."""

    def __init__(self, settings: dict[int, int] | None = None) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        self.heads: dict[int, list[tuple[bytes, bytes]]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.done: list[int] = []
        self.events: list[h2.events.Event] = []
        self.acknowledge = True
        self._unsent: list[tuple[int, bytes, list[tuple[str, str]]]] = []

    def take(self, buffers: Iterable[bytes | memoryview]) -> None:
        for buffer in buffers:
            for event in self.h2.receive_data(bytes(buffer)):
                self._event(event)
        self._push()

    def _event(self, event: h2.events.Event) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None and event.headers is not None
            self.heads[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
            self.bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived):
            assert event.stream_id is not None and event.data is not None
            self.bodies[event.stream_id] += event.data
            if self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            assert event.stream_id is not None
            self.done.append(event.stream_id)

    def respond(self, stream_id: int, message: bytes, trailers: list[tuple[str, str]] | None = None) -> None:
        self.h2.send_headers(stream_id, GRPC_HEADERS)
        self._unsent.append((stream_id, prefixed(message), trailers or OK_TRAILERS))
        self._push()

    def _push(self) -> None:
        """Send what the client's windows allow of the messages."""
        unsent, self._unsent = self._unsent, []
        for stream_id, payload, trailers in unsent:
            rest = payload
            while rest:
                n = min(
                    self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(rest)
                )
                if n <= 0:
                    break
                self.h2.send_data(stream_id, rest[:n])
                rest = rest[n:]
            if rest:
                self._unsent.append((stream_id, rest, trailers))
            else:
                self.h2.send_headers(stream_id, trailers, end_stream=True)

    def bytes(self) -> bytes:
        return self.h2.data_to_send()

    def change(self, **values: int) -> None:
        self.h2.update_settings({h2.settings.SettingCodes[name]: value for name, value in values.items()})


class Reader:
    """A caller of ``Connection.receive``: keeps unused bytes, discards what may be skipped, sums up."""

    def __init__(self, connection: Connection, skip: bool = True) -> None:
        self.connection = connection
        self.skip = skip
        self.skipped = 0
        self.ok: list[tuple] = []
        self.other: list[tuple[object, int, bytes]] = []
        self.out = b""
        self.last: Received | None = None
        self._kept = b""
        self._skippable = 0

    def feed(self, chunk: bytes) -> Received:
        if self.skip and self._skippable:
            n = min(self._skippable, len(chunk))
            self.connection.skipped(n)
            self.skipped += n
            chunk = chunk[n:]
        view = memoryview(self._kept + chunk)
        received = self.connection.receive(view)
        self.take(received)
        self._kept = bytes(view[received.used :])
        self._skippable = received.skip
        return received

    def take(self, received: Received) -> None:
        self.last = received
        self.ok += received.ok
        self.other += received.other
        self.out += b"".join(received.out)


class Pair:
    """A client and a server that talk until neither has anything to say."""

    def __init__(self, connection: Connection, settings: dict[int, int] | None = None) -> None:
        self.client = connection
        self.server = Server(settings)
        self.reader = Reader(connection)
        self.server.take([connection.start()])

    def send(self, items: list, tickets: list) -> None:
        self.server.take(self.client.send(items, tickets))
        self.settle()

    def settle(self, each: Callable[[], None] | None = None) -> None:
        while chunk := self.server.bytes():
            self.server.take(self.reader.feed(chunk).out)
            if each is not None:
                each()


def opened(n: int = 0, tickets: Iterable[object] | None = None, **options) -> Connection:
    """A connection whose server's SETTINGS have arrived, with ``n`` requests sent."""
    from triton_users.wire import Head, encode

    connection = Connection("test:8001", **options)
    connection.start()
    connection.receive(memoryview(SETTINGS))
    if n:
        item = encode(Head(b"/s/m"), b"request")
        connection.send([item] * n, list(tickets) if tickets is not None else [(i,) for i in range(n)])
    return connection
