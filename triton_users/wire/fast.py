"""The fast path: whole small responses that look like earlier ones, taken many at a time.

A response that the server sends in one go is three frames: HEADERS, one DATA, trailers. Between two
successful responses of one class only the stream ids and the tensor's bytes differ, so one struct cuts all of
a batch, and comparing the constant parts takes the place of parsing. The general parser stays the truth: it
decides what a response means, and whatever does not match is left to it.
"""

from __future__ import annotations

import struct
from typing import Final

from triton_users.wire import frames
from triton_users.wire.frames import DATA, END_HEADERS, END_STREAM, HEADERS
from triton_users.wire.headers import ResponseBlocks
from triton_users.wire.status import Status
from triton_users.wire.streams import Streams
from triton_users.wire.windows import MAX_WINDOW, ReceiveWindow

MAX_DATA: Final = 16 * 1024
"""Bytes of a DATA frame beyond which a pattern saves nothing that could be measured."""

MAX_BLOCK: Final = 255
"""Bytes of a response's header block: one byte tells where its DATA frame is."""

MAX_PATTERNS: Final = 64
"""Lengths of DATA that are remembered: one per class, and some to spare."""

_DATA_LENGTH: Final = struct.Struct(">BH")
_ABSENT: Final = object()


Parts = tuple[bytes, bytes, bytes, bytes, bytes]
"""What is constant: HEADERS head, header block with the DATA head, message prefix, trailers head, trailer
block; heads without their stream ids."""


class Pattern:
    """Cuts equal responses, of ``size`` bytes each, whose DATA payload has ``data_length`` bytes.

    A cut is (HEADERS head, id, header block and DATA head, id, prefix, trailers head, id, trailer block).
    """

    __slots__ = ("cut", "cut_one", "data_length", "message_at", "parts", "size")

    def __init__(self, parts: Parts, data_length: int) -> None:
        _, block, _, _, trailers = parts
        layout = struct.Struct(f">5sI{len(block)}sI5s{data_length - 5}x5sI{len(trailers)}s")
        self.cut, self.cut_one = layout.iter_unpack, layout.unpack_from
        self.size = layout.size
        self.parts = parts
        self.data_length = data_length
        self.message_at = 9 + len(block) + 4 + 5


def candidate(view: memoryview, p: int) -> tuple[Parts, int] | None:
    """The constant parts and the DATA length of the three plain frames at ``p``, if whole in the view."""
    n = len(view)
    high, length, kind, flags, stream_id = frames.HEAD.unpack_from(view, p)
    data_at = p + 9 + length
    if kind != HEADERS or flags != END_HEADERS or high or length > MAX_BLOCK or n - data_at < 9:
        return None
    high, data, kind, flags, again = frames.HEAD.unpack_from(view, data_at)
    trailers_at = data_at + 9 + data
    if kind != DATA or flags or high or not 5 <= data <= MAX_DATA or again != stream_id:
        return None
    if n - trailers_at < 9:
        return None
    high, length, kind, flags, again = frames.HEAD.unpack_from(view, trailers_at)
    if kind != HEADERS or flags != END_HEADERS | END_STREAM or again != stream_id:
        return None
    end = trailers_at + 9 + length
    prefix = bytes(view[data_at + 9 : data_at + 14])
    if high or end > n or prefix != b"\0" + (data - 5).to_bytes(4, "big"):
        return None
    parts = (
        bytes(view[p : p + 5]),
        bytes(view[p + 9 : data_at + 5]),
        prefix,
        bytes(view[trailers_at : trailers_at + 5]),
        bytes(view[trailers_at + 9 : end]),
    )
    return parts, data


def match_one(pattern: Pattern, view: memoryview, streams: Streams) -> bool:
    """``match`` for the one response that stands at the start of the view; whether it was taken. A loop over
    one would cost a twentieth of all that a request takes."""
    a, i, b, j, c, d, k, e = pattern.cut_one(view)
    parts = (a, b, c, d, e)
    if parts != pattern.parts or not i == j == k or i in streams.responses or i in streams.unsent:
        return False
    ticket = streams.live.pop(i, _ABSENT)
    if type(ticket) is tuple:
        streams.ok.append(ticket)
    elif ticket is None:
        streams.other.append((None, 0, b""))
    elif ticket is _ABSENT:
        return False
    else:
        start = pattern.message_at
        streams.other.append((ticket, 0, bytes(view[start : start + pattern.data_length - 5])))
    return True


def match(pattern: Pattern, view: memoryview, p: int, count: int, streams: Streams) -> int:
    """End the streams whose responses stand at ``p``, at most ``count``; how many of them were taken."""
    parts = pattern.parts
    ok, other = streams.ok, streams.other
    responses, unsent, pop = streams.responses, streams.unsent, streams.live.pop
    before = len(ok) + len(other)
    for a, i, b, j, c, d, k, e in pattern.cut(view[p : p + count * pattern.size]):
        # One comparison of tuples costs half of what five of their parts do.
        if (a, b, c, d, e) != parts or not i == j == k or i in responses or i in unsent:
            break
        ticket = pop(i, _ABSENT)
        if type(ticket) is tuple:
            ok.append(ticket)
        elif ticket is None:
            other.append((None, 0, b""))
        elif ticket is _ABSENT:
            break
        else:
            start = p + (len(ok) + len(other) - before) * pattern.size + pattern.message_at
            other.append((ticket, 0, bytes(view[start : start + pattern.data_length - 5])))
    return len(ok) + len(other) - before


class Patterns:
    """The patterns learnt on one connection: by DATA length, from two equal responses of that length."""

    __slots__ = ("_blocks", "_known", "_once", "_whole")

    def __init__(self, blocks: ResponseBlocks) -> None:
        self._blocks = blocks
        self._known: dict[int, Pattern] = {}
        self._once: dict[int, Parts] = {}
        self._whole: dict[int, Pattern] = {}
        """By the size of a view that holds one response, and perhaps a WINDOW_UPDATE behind it."""

    def take_whole(self, view: memoryview, streams: Streams, credit: ReceiveWindow) -> int:
        """Take the one response that ``view`` is, alone or with an update of the connection's window behind
        it: what Triton sends while few requests are in flight. The update's increment, 0 without one; -1,
        with nothing taken, for all else."""
        n = len(view)
        pattern = self._whole.get(n)
        if pattern is None or pattern.data_length > credit.quiet:
            return -1
        increment = 0
        if n > pattern.size:
            head, increment = frames.UPDATE.unpack_from(view, pattern.size)
            if head != frames.UPDATE_HEAD or not 0 < increment <= MAX_WINDOW:
                return -1
        if not match_one(pattern, view, streams):
            return -1
        credit.quiet -= pattern.data_length
        return increment

    def take(self, view: memoryview, p: int, streams: Streams, credit: ReceiveWindow) -> int:
        """Take responses of one pattern from ``p`` on, where a HEADERS frame starts; where they end."""
        n = len(view)
        data_at = p + 9 + view[p + 2]
        if n - data_at >= 9:
            high: int
            length: int
            high, length = _DATA_LENGTH.unpack_from(view, data_at)
            pattern = self._known.get(length)
            if pattern is not None and not high:
                # Only as many as need no window update: the general parser sends those, at the same byte.
                size = pattern.size
                count = min((n - p) // size, credit.quiet // length)
                if count:
                    count = match(pattern, view, p, count, streams)
                if count:
                    credit.quiet -= count * length
                    return p + count * size
        self._learn(view, p)
        return p

    def _learn(self, view: memoryview, p: int) -> None:
        """Remember the response at ``p``; make a pattern when an equal one of its length came before.

        Blocks count only if the general parser has decoded them: that is how they are known to be good.
        """
        found = candidate(view, p)
        if found is None:
            return
        parts, length = found
        if self._once.get(length) != parts:
            if len(self._once) >= MAX_PATTERNS:
                self._once.clear()
            self._once[length] = parts
            return
        head, trailers = self._blocks.remembered(parts[1][:-5]), self._blocks.remembered(parts[4])
        if head is None or trailers is None or head.http != 200 or not head.grpc:
            return
        if trailers.http is None and trailers.status == Status.OK:
            if len(self._known) >= MAX_PATTERNS:
                self._known.clear()
                self._whole.clear()
            before, pattern = self._known.get(length), Pattern(parts, length)
            if before is not None:
                self._whole = {size: one for size, one in self._whole.items() if one is not before}
            self._known[length] = pattern
            self._whole[pattern.size] = self._whole[pattern.size + frames.UPDATE.size] = pattern
