"""The socket edge: four methods that never block, and one place where OS errors become ours."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Protocol

from gevent import socket as gsocket

from triton_users.net.errors import ConnectionLost

Buffer = bytes | memoryview

MAX_BUFFERS = 512
"""Buffers in one sendmsg; Linux takes at most IOV_MAX = 1024."""


class Stream(Protocol):
    """An ordered stream of bytes. No method blocks; all raise ConnectionLost when the transport ended."""

    def fileno(self) -> int: ...
    def receive(self, into: memoryview) -> int:
        """Bytes received, or -1 when there are none now."""

    def discard(self, count: int) -> int:
        """Bytes dropped unread, at most ``count``; -1 when there are none now."""

    def send(self, buffers: Sequence[Buffer]) -> int:
        """Bytes taken, perhaps fewer than offered; 0 when there is no room now."""

    def close(self) -> None: ...


class TcpStream:
    """Plain TCP. ``discard`` lets the kernel drop a tensor without copying it (MSG_TRUNC)."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._whole = sock
        # gevent's socket adds nothing to calls that never block but two calls of Python.
        self._sock: Any = getattr(sock, "_sock", sock)

    @classmethod
    def connect(cls, host: str, port: int, timeout_s: float) -> TcpStream:
        """Blocks the greenlet. Raises ConnectionLost with the reason."""
        try:
            sock = gsocket.create_connection((host, port), timeout=timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ConnectionLost(f"cannot connect to {host}:{port}: {_reason(error)}") from error
        except UnicodeError as error:
            raise ConnectionLost(f"{host!r} cannot be a host's name: {error}") from error
        return cls(sock)

    def fileno(self) -> int:
        return self._whole.fileno()

    def receive(self, into: memoryview) -> int:
        try:
            taken: int = self._sock.recv_into(into)
        except BlockingIOError:
            return -1
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error
        if not taken:
            raise ConnectionLost("closed by the server")
        return taken

    def discard(self, count: int) -> int:
        try:  # with MSG_TRUNC the kernel writes nothing
            taken: int = self._sock.recv_into(_NOWHERE, min(count, len(_NOWHERE)), socket.MSG_TRUNC)
        except BlockingIOError:
            return -1
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error
        if not taken:
            raise ConnectionLost("closed by the server")
        return taken

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            if len(buffers) == 1:
                taken: int = self._sock.send(buffers[0])
            else:
                taken = self._sock.sendmsg(buffers[:MAX_BUFFERS])
            return taken
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ConnectionLost(_reason(error)) from error

    def close(self) -> None:
        self._whole.close()


_NOWHERE = memoryview(bytearray(1 << 20))


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
