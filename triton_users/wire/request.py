"""A request, built once and sent many times."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from triton_users.wire import frames

_PREFIX = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Head:
    """The request headers that differ between calls: equal heads share one header block.

    ``headers`` holds custom metadata and grpc-timeout, names in lower case, in the order to be sent.
    """

    path: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


@lru_cache(maxsize=1024)
def _data_head(size: int) -> bytes:
    """The head of a body's one DATA frame without the stream id: the same for every sending. Longer bodies
    have none."""
    small = size <= frames.SMALLEST_MAX_FRAME_SIZE
    return frames.id_less(size, frames.DATA, frames.END_STREAM) if small else b""


class Encoded:
    """One request as it goes out: immutable by convention, shared by every connection that sends it.

    ``body`` is the gRPC length-prefixed message, ``size`` its bytes. ``tag`` and ``want_message`` are the
    caller's: this package only carries them.
    """

    __slots__ = ("body", "data_head", "head", "size", "tag", "want_message")

    def __init__(
        self, head: Head, body: bytes | memoryview, tag: int = 0, want_message: bool = False
    ) -> None:
        self.head = head
        self.body = body
        self.tag = tag
        self.want_message = want_message
        self.size = len(body)
        self.data_head = _data_head(self.size)


def encode(head: Head, message: bytes, tag: int = 0, want_message: bool = False) -> Encoded:
    """The request for a serialised message: not compressed, four bytes of length, the message."""
    return Encoded(head, _PREFIX.pack(0, len(message)) + message, tag, want_message)
