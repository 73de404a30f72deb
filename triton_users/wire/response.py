"""One response while it comes in: from its headers to the verdict at END_STREAM."""

from __future__ import annotations

from typing import Final

from triton_users.wire.frames import unpack_u32
from triton_users.wire.headers import Block
from triton_users.wire.status import Status
from triton_users.wire.windows import ReceiveWindow

PREFIX_SIZE: Final = 5
"""Compressed flag and message length in front of every message (gRPC spec, Length-Prefixed-Message)."""


class Response:
    """Only responses that the fast path did not take as a whole have one of these.

    ``fault`` is the first thing that was wrong. It is reported when the stream ends, for a stream ends
    at END_STREAM only. ``received`` counts bytes of DATA without padding; once ``has_prefix``, the bytes of
    an unwanted message are only counted.
    """

    __slots__ = ("_chunks", "_fault", "_headers_seen", "_prefix", "_size", "has_prefix", "received", "window")

    def __init__(self, window: int) -> None:
        self.window = ReceiveWindow(window)
        self.received = 0
        self.has_prefix = False
        self._headers_seen = False
        self._fault: tuple[Status, bytes] | None = None
        self._prefix = b""
        self._size = 0
        self._chunks: list[bytes] = []

    def _blame(self, status: Status, why: str) -> None:
        if self._fault is None:
            self._fault = (status, why.encode())

    def headers(self, block: Block, ends: bool) -> tuple[int, bytes] | None:
        """Take a header block; the (status, payload) of the request when it ends with it."""
        if self._headers_seen:
            return self._trailers(block, ends)
        if block.http == 200 and block.grpc and not ends:
            self._headers_seen = True
            return None
        if block.interim and not ends:
            return None
        self._headers_seen = True
        if ends and block.status is not None:
            return self._verdict(block)  # trailers-only: all in one block
        if block.http is None or block.http < 200:
            self._blame(Status.INTERNAL, "a response without a valid HTTP status")
        elif block.http != 200:
            self._blame(Status.from_http(block.http), f"HTTP status {block.http}")
        elif not block.grpc:
            self._blame(Status.UNKNOWN, "the content type is not application/grpc")
        return self._verdict(block) if ends else None

    def _trailers(self, block: Block, ends: bool) -> tuple[int, bytes] | None:
        if not ends or block.http is not None:
            self._blame(Status.INTERNAL, "headers in the middle of a response")
        return self._verdict(block) if ends else None

    def data(self, chunk: memoryview, wanted: bool) -> None:
        """Take a part of a DATA payload, keeping the message's bytes if they are wanted."""
        if not self._headers_seen:
            self._blame(Status.INTERNAL, "data before the response's headers")
        self.received += len(chunk)
        if not self.has_prefix:
            missing = PREFIX_SIZE - len(self._prefix)
            self._prefix += chunk[:missing]
            if len(self._prefix) < PREFIX_SIZE:
                return
            self._read_prefix()
            chunk = chunk[missing:]
        if wanted and self._fault is None:
            self._chunks.append(bytes(chunk))

    def _read_prefix(self) -> None:
        if self._prefix[0]:
            self._blame(Status.INTERNAL, "the message is compressed, which we do not accept")
        (self._size,) = unpack_u32(self._prefix, 1)
        self.has_prefix = True

    def end_without_trailers(self) -> tuple[int, bytes]:
        """END_STREAM came with DATA, which only a broken server (or a proxy) does."""
        self._blame(Status.INTERNAL, "the response ended without trailers")
        return self._verdict(None)

    def _verdict(self, block: Block | None) -> tuple[int, bytes]:
        """A fault of the response comes first, then the server's own status, then the message."""
        if self._fault is not None and not (block and block.status and self._fault[0] is Status.INTERNAL):
            return self._fault
        if block is None or block.status is None:
            return Status.UNKNOWN, b"the response has no grpc-status"
        if block.status:
            return block.status, block.message
        return self._message()

    def _message(self) -> tuple[int, bytes]:
        """What a success is worth: a unary response has one whole message."""
        if not self.received:
            return Status.INTERNAL, b"success, but no message"
        if not self.has_prefix or self.received < self._size + PREFIX_SIZE:
            return Status.INTERNAL, b"the message is truncated"
        if self.received > self._size + PREFIX_SIZE:
            return Status.INTERNAL, b"more than one message, or bytes after it"
        return Status.OK, b"".join(self._chunks)
