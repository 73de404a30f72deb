"""JSON objects over a TCP connection, one a line."""

from __future__ import annotations

import json
import socket
from typing import Any

from triton_users.collect.sensor import compact

LARGEST_BYTES = 1 << 20


class LineError(ValueError):
    """The other side does not speak our protocol."""


def address_of(text: str) -> tuple[str, int]:
    """HOST:PORT, with an IPv6 address in brackets. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


class Lines:
    """``largest`` bounds a line: longer ones end the conversation."""

    def __init__(self, sock: socket.socket, largest: int = LARGEST_BYTES) -> None:
        self.sock = sock
        self.largest = largest
        self._rest = b""
        self._ready: list[bytes] = []

    def send(self, value: dict[str, Any]) -> None:
        self.sock.sendall(compact(value).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        """Raises EOFError at the end, LineError for what is no object, OSError (timeouts too)."""
        while not self._ready:
            data = self.sock.recv(65_536)
            if not data:
                raise EOFError("the connection was closed")
            *self._ready, self._rest = (self._rest + data).split(b"\n")
            self._ready.reverse()
            if len(self._rest) > self.largest:
                raise LineError("a line is too long")
        try:
            value = json.loads(self._ready.pop())
        except ValueError as error:
            raise LineError("a line is no JSON") from error
        if not isinstance(value, dict):
            raise LineError("a line is no object")
        return value
