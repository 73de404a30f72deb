"""A server whose header blocks use the client's header table."""

from __future__ import annotations

import random

from hpack import Decoder, Encoder

from tests.unit.wire_recorded import frames_of
from triton_users.wire import frames

SIZES = (0, 60, 200, 4096)
"""Bytes of the table that the server makes use of, for a while."""
FORM = frames.PADDED | frames.PRIORITISED


def with_table(stream: bytes, order: random.Random) -> bytes:
    """A stream whose header blocks are literals, said by a server with a table: most fields are entered and
    pointed at later, and now and then it changes its size. Padded blocks stay literals."""
    encoder = Encoder()
    said: list[bytes] = []
    parts: list[bytes] = []
    """Of the block that is being read: frames."""
    for frame in frames_of(stream):
        if not parts and (frame[3] != frames.HEADERS or frame[4] & FORM):
            said.append(frame)
            continue
        parts.append(frame)
        if frame[4] & frames.END_HEADERS:
            said += _again(parts, encoder, order)
            parts = []
    return b"".join(said)


def _again(parts: list[bytes], encoder: Encoder, order: random.Random) -> list[bytes]:
    """The frames of one block, in as many pieces."""
    fields = Decoder().decode(b"".join(part[frames.HEAD_SIZE :] for part in parts), raw=True)
    if order.random() < 0.1:
        encoder.header_table_size = order.choice(SIZES)
    block = encoder.encode(
        [(name, value, order.random() < 0.1) for name, value in fields], huffman=order.random() < 0.5
    )
    step = -(-len(block) // len(parts))
    pieces = [block[i * step : (i + 1) * step] for i in range(len(parts))]
    return [
        frames.head(len(piece), part[3], part[4], int.from_bytes(part[5:9])) + piece
        for part, piece in zip(parts, pieces, strict=True)
    ]
