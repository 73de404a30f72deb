"""The frames of HTTP/2: numbers, heads and the small frames that we send (RFC 9113 sections 4 and 6)."""

from __future__ import annotations

import struct
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""

HEAD_SIZE: Final = 9
"""Bytes of a frame before its payload."""

MAX_ID: Final = 2**31 - 1
"""The highest stream id, and the mask that clears the reserved bit in front of one."""

SMALLEST_MAX_FRAME_SIZE: Final = 2**14
"""A payload of so many bytes is allowed by every peer (section 4.2)."""

LARGEST_MAX_FRAME_SIZE: Final = 2**24 - 1

HEAD: Final = struct.Struct(">BHBBI")
"""Length (high byte, low 16 bits), type, flags, stream id with its reserved bit."""

_ID_LESS: Final = struct.Struct(">BHBB")
_U32: Final = struct.Struct(">I")
_SETTING: Final = struct.Struct(">HI")

pack_u32 = _U32.pack
unpack_u32 = _U32.unpack_from


def head(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    return HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id)


def id_less(length: int, kind: int, flags: int) -> bytes:
    """A frame's head without the four bytes of its stream id."""
    return _ID_LESS.pack(length >> 16, length & 0xFFFF, kind, flags)


def headers(stream_id: int, block: bytes, max_frame_size: int) -> bytes:
    """A header block as HEADERS and, where it is longer than a frame may be, CONTINUATION frames."""
    if len(block) <= max_frame_size:
        return head(len(block), HEADERS, END_HEADERS, stream_id) + block
    parts: list[bytes] = []
    for start in range(0, len(block), max_frame_size):
        part = block[start : start + max_frame_size]
        flags = END_HEADERS if start + max_frame_size >= len(block) else 0
        parts += (head(len(part), CONTINUATION if start else HEADERS, flags, stream_id), part)
    return b"".join(parts)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(_SETTING.pack(*item) for item in values.items())
    return head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK: Final = head(0, SETTINGS, ACK, 0)


def parse_settings(payload: memoryview) -> list[tuple[int, int]]:
    """(identifier, value) in order; the payload's length is a multiple of six."""
    return list(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, increment: int) -> bytes:
    return head(4, WINDOW_UPDATE, 0, stream_id) + _U32.pack(increment)


UPDATE: Final = struct.Struct(">9sI")
UPDATE_HEAD: Final = head(4, WINDOW_UPDATE, 0, 0)
"""A whole WINDOW_UPDATE frame, and how one of the connection starts."""


def ping_ack(payload: bytes) -> bytes:
    return head(8, PING, ACK, 0) + payload


def reset(stream_id: int, code: int) -> bytes:
    return head(4, RST_STREAM, 0, stream_id) + _U32.pack(code)


def goaway(code: int, reason: bytes) -> bytes:
    """We take no streams from the server, so the last one that we have processed is 0."""
    return head(8 + len(reason), GOAWAY, 0, 0) + _U32.pack(0) + _U32.pack(code) + reason
