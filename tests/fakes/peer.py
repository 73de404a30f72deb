"""A gRPC server on h2 that does as it is told, over a real socket on loopback, in greenlets of the test."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Any

import gevent
import h2.events
import h2.exceptions
from gevent import socket as gsocket
from gevent.event import Event

from tests.unit.wire_server import Server
from triton_users.wire import frames

Answer = Callable[["Link", int, bytes], None]
"""Told of each whole request: the link it came by, its stream, its message."""


def echo(link: Link, stream_id: int, message: bytes) -> None:
    """The answer is the request."""
    link.respond(stream_id, message)


def silent(link: Link, stream_id: int, message: bytes) -> None:
    """No answer."""


def later(seconds: float) -> Answer:
    """Echo after a time."""

    def answer(link: Link, stream_id: int, message: bytes) -> None:
        gevent.spawn_later(seconds, link.respond, stream_id, message)

    return answer


class Link(Server):
    """The server's end of one connection."""

    def __init__(self, peer: Peer, sock: Any, settings: dict[int, int] | None) -> None:
        super().__init__(settings)
        self.peer = peer
        self.open = True
        self.broken: BaseException | None = None
        """What the client's bytes made of h2: any error is the client's fault."""
        self._sock = sock
        self._reads = Event()
        self._reads.set()
        self.slow_bytes: int | None = None
        self._reader = gevent.spawn(self._read)

    # What the client sends

    def _read(self) -> None:
        self.flush()
        while self.open:
            self._reads.wait()
            try:
                chunk = self._sock.recv(self.slow_bytes or 1 << 16)
            except OSError:
                break
            if not chunk:
                break
            try:
                self.take([chunk])
            except h2.exceptions.ProtocolError as error:
                self.broken = error
                break
            self.flush()
            if self.slow_bytes:
                gevent.sleep(0.001)
        self.open = False

    def _event(self, event: h2.events.Event) -> None:
        super()._event(event)
        if isinstance(event, h2.events.StreamEnded):
            stream_id = event.stream_id
            message = bytes(self.bodies.pop(stream_id))[5:]
            self.peer.requests.append((self, stream_id, message))
            self.peer.answer(self, stream_id, message)

    # What it is told to do

    def flush(self) -> None:
        data = self.bytes()
        if data and self.open:
            self.raw(data)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are, past h2."""
        try:
            self._sock.sendall(data)
        except OSError:
            self.open = False

    def respond(self, stream_id: int, message: bytes, trailers: list[tuple[str, str]] | None = None) -> None:
        if self.open:
            super().respond(stream_id, message, trailers)
            self.flush()

    def fail(self, stream_id: int, status: int, text: str) -> None:
        """A trailers-only error."""
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(status))]
        self.h2.send_headers(stream_id, [*fields, ("grpc-message", text)], end_stream=True)
        self.flush()

    def goaway(self, last: int | None = None, code: int = 0) -> None:
        """Past h2, which would refuse to answer what is open."""
        last_id = max([1, *self.heads]) if last is None else last
        self.raw(frames.head(8, 7, 0, 0) + struct.pack(">II", last_id, code))

    def reset(self, stream_id: int, code: int) -> None:
        self.h2.reset_stream(stream_id, code)
        self.flush()

    def acknowledged(self) -> int:
        """Acknowledgements of settings that have come."""
        return sum(isinstance(e, h2.events.SettingsAcknowledged) for e in self.events)

    def ping(self) -> None:
        self.h2.ping(b"12345678")
        self.flush()

    def settings(self, **values: int) -> None:
        self.change(**values)
        self.flush()

    def freeze(self) -> None:
        """Stay connected, read nothing."""
        self._reads.clear()

    def thaw(self) -> None:
        self._reads.set()

    def close(self) -> None:
        self.open = False
        self._reads.set()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._reader.kill(block=False)

    def abort(self) -> None:
        """RST instead of FIN."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.open = False
        self._reads.set()
        self._reader.kill()
        self._sock.close()


class Peer:
    """Listens on a free port. ``answer`` may be replaced at any time; ``settings`` hold for new links."""

    def __init__(self, answer: Answer = echo, settings: dict[int, int] | None = None) -> None:
        self.answer = answer
        self.settings = settings
        self.links: list[Link] = []
        self.requests: list[tuple[Link, int, bytes]] = []
        self.welcome: Callable[[Link], None] = lambda link: None
        self._listener: Any = None
        self._acceptor: Any = None
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Accept (again), on the same port as before."""
        self._listener = gsocket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        self._acceptor = gevent.spawn(self._accept)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = Link(self, sock, self.settings)
            self.links.append(link)
            self.welcome(link)

    def refuse(self) -> None:
        """Accept no more connections; those that stand go on."""
        self._acceptor.kill()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def link(self) -> Link:
        """The newest."""
        return self.links[-1]

    @property
    def resets(self) -> int:
        """RST_STREAM frames that the client has sent, over all links."""
        return sum(isinstance(e, h2.events.StreamReset) for link in self.links for e in link.events)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        for link in self.links:
            link.close()
