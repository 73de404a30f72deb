"""What one call of ``Connection.receive`` found."""

from __future__ import annotations

from typing import Any, NamedTuple


class Received(NamedTuple):
    """The ended requests, what must be written now, and how much of the view was consumed.

    ok       tickets (plain tuples) whose request ended with grpc-status 0 and one well-formed message
    other    (ticket, status, payload): errors, payload being the grpc-message as UTF-8; and every ticket
             that is no plain tuple, also when successful: status 0, payload the message without prefix
    out      buffers to write, in order: acknowledgements, window updates, requests that found room now
    used     bytes of the view consumed; the caller keeps the rest in front of what it reads next
    skip     bytes that follow and that nobody wants: the caller may discard up to that many from the
             socket and report them by ``Connection.skipped`` instead of passing them in a view
    closing  no further request may be sent on this connection
    """

    ok: list[tuple[Any, ...]]
    other: list[tuple[object, int, bytes]]
    out: list[bytes | memoryview]
    used: int
    skip: int
    closing: bool
