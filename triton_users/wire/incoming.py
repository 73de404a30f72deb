"""What is half read: a long frame's payload, and a header block in several frames."""

from __future__ import annotations

from typing import Final

from triton_users.wire.errors import ExcessError

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
