"""What is half read: a long frame's payload, and a header block in several frames."""

from __future__ import annotations

from typing import Final

from triton_users.wire import frames
from triton_users.wire.errors import ExcessError, ProtocolError
from triton_users.wire.streams import Streams
from triton_users.wire.windows import ReceiveWindow

WHOLE_DATA: Final = 16 * 1024
"""DATA frames up to so many bytes are taken when they are whole in the view, longer ones piece by piece."""

MAX_BLOCK: Final = 33 * 1024
"""Bytes of one response's header block, HPACK-encoded."""

MAX_PARTS: Final = 64
"""Frames of one header block: empty CONTINUATION frames cost memory to nobody, but time to us."""


class Payload:
    """The rest of a frame that is taken piece by piece: ``left`` bytes of content, then ``padding`` bytes.

    ``stream_id`` is 0 for the payload of a frame that means nothing to us.
    """

    __slots__ = ("ends", "left", "padding", "stream_id")

    def __init__(self, stream_id: int, left: int, padding: int, ends: bool) -> None:
        self.stream_id = stream_id
        self.left = left
        self.padding = padding
        self.ends = ends

    @property
    def skippable(self) -> int:
        """The last byte of a stream is never skipped: it is what makes ``receive`` report the end."""
        return self.left + self.padding - self.ends


class Data:
    """The DATA frames of a connection (RFC 9113 section 6.1).

    ``payload`` is the one that is half read, ``credit`` what the server may send on all streams together.
    Flow control counts whole payloads, padding and its length included.
    """

    __slots__ = ("_streams", "credit", "payload")

    def __init__(self, streams: Streams, window: int) -> None:
        self.payload: Payload | None = None
        self.credit = ReceiveWindow(window)
        self._streams = streams

    def frame(self, view: memoryview, p: int, length: int, flags: int, stream_id: int) -> int:
        """Take the payload that begins at ``p``, as far as it is in the view; where that ends."""
        streams = self._streams
        streams.check_known(stream_id)
        increment = self.credit.take(length)
        if increment:
            streams.out.append(frames.window_update(0, increment))
        response = streams.response(stream_id) if stream_id in streams.live else None
        if response is not None:
            increment = response.window.take(length)
            if increment and not flags & frames.END_STREAM:
                streams.out.append(frames.window_update(stream_id, increment))
            if not flags and length <= WHOLE_DATA:  # whole and plain, as most are
                response.data(view[p : p + length], streams.wanted(stream_id))
                return p + length
        left, padding = length, 0
        if flags & frames.PADDED:
            padding = view[p] if length else 0
            if padding >= length:
                raise ProtocolError("more padding than payload")
            left -= padding + 1
            p += 1
        return self.take(Payload(stream_id, left, padding, bool(flags & frames.END_STREAM)), view, p)

    def resume(self, view: memoryview, p: int) -> int:
        """Go on with ``payload``; where it, or the view, ends."""
        assert self.payload is not None
        return self.take(self.payload, view, p)

    def take(self, payload: Payload, view: memoryview, p: int) -> int:
        """Take what the view has of a payload from ``p`` on; where that ends."""
        n = len(view)
        q = min(n, p + payload.left)
        response = self._streams.responses.get(payload.stream_id)
        if response is not None and q > p:
            response.data(view[p:q], self._streams.wanted(payload.stream_id))
        payload.left -= q - p
        padding = min(n - q, payload.padding)
        payload.padding -= padding
        if payload.left or payload.padding:
            self.payload = payload
        else:
            self.payload = None
            if payload.ends and response is not None:
                self._streams.end(payload.stream_id, *response.end_without_trailers())
        return q + padding

    def skippable(self) -> int:
        """Bytes of ``payload`` that nobody wants to see."""
        payload = self.payload
        assert payload is not None
        response = self._streams.responses.get(payload.stream_id)
        if response is not None and (not response.has_prefix or self._streams.wanted(payload.stream_id)):
            return 0
        return payload.skippable

    def skipped(self, n: int) -> None:
        """The next ``n`` bytes of ``payload`` will never be seen. Raises ValueError for more than it has."""
        payload = self.payload
        if payload is None or n > payload.skippable:
            raise ValueError(f"{n} bytes cannot be skipped")
        content = min(n, payload.left)
        payload.left -= content
        payload.padding -= n - content
        response = self._streams.responses.get(payload.stream_id)
        if response is not None:
            response.received += content
        if not payload.left and not payload.padding:
            self.payload = None


class Assembly:
    """A header block until END_HEADERS (RFC 9113 section 6.10)."""

    __slots__ = ("block", "ends", "parts", "stream_id")

    def __init__(self, stream_id: int, ends: bool) -> None:
        self.stream_id = stream_id
        self.ends = ends
        self.block = b""
        self.parts = 0

    def add(self, part: memoryview) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS or len(self.block) + len(part) > MAX_BLOCK:
            raise ExcessError("a response's header block is too long")
        self.block += part
