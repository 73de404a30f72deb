"""The fast path: whole small responses that look like earlier ones, taken many at a time.

A response that the server sends in one go is three frames: HEADERS, one DATA, trailers. Between two
successful responses of one class only the stream ids and the tensor's bytes differ, so one struct cuts all of
a batch, and comparing the constant parts takes the place of parsing. The general parser stays the truth: it
decides what a response means, and whatever does not match is left to it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from triton_users.wire import frames
from triton_users.wire.frames import DATA, END_HEADERS, END_STREAM, HEADERS, WINDOW_UPDATE
from triton_users.wire.headers import ResponseBlocks
from triton_users.wire.outgoing import Outgoing
from triton_users.wire.status import Status
from triton_users.wire.streams import Streams
from triton_users.wire.windows import MAX_WINDOW, ReceiveWindow

MAX_DATA: Final = 16 * 1024
"""Bytes of a DATA frame beyond which a pattern saves nothing that could be measured."""

MAX_BLOCK: Final = 255
"""Bytes of a response's header block: one byte tells where its DATA frame is."""

MAX_PATTERNS: Final = 64
"""Lengths of DATA that are remembered: one per class, and some to spare."""

MOST_WHOLE: Final = 32
"""Responses in a view that is taken as a whole: Triton writes no more than some 5 kB at a time."""

_DATA_LENGTH: Final = struct.Struct(">BH")
_unpack_update: Final = frames.UPDATE.unpack_from
_UPDATE_HEAD: Final = frames.UPDATE_HEAD
_UPDATE_SIZE: Final = frames.UPDATE.size
_ABSENT: Final = object()
_NONE: Final = ()

Found = tuple[Sequence[Any], Sequence[Any]]
"""(ok, other) as in ``Received``."""


Parts = tuple[bytes, bytes, bytes, bytes, bytes]
"""What is constant: HEADERS head, header block with the DATA head, message prefix, trailers head, trailer
block; heads without their stream ids."""


class Pattern:
    """Cuts equal responses, of ``size`` bytes each, whose DATA payload has ``data_length`` bytes.

    A cut is (HEADERS head, id, header block and DATA head, id, prefix, trailers head, id, trailer block).
    """

    __slots__ = ("_message_at", "cut", "cut_one", "data_length", "parts", "size")

    def __init__(self, parts: Parts, data_length: int) -> None:
        _, block, _, _, trailers = parts
        layout = struct.Struct(f">5sI{len(block)}sI5s{data_length - 5}x5sI{len(trailers)}s")
        self.cut, self.cut_one = layout.iter_unpack, layout.unpack_from
        self.size = layout.size
        self.parts = parts
        self.data_length = data_length
        self._message_at = 9 + len(block) + 4 + 5

    def message(self, view: memoryview, p: int) -> bytes:
        """The message of the response at ``p``, without its prefix."""
        start = p + self._message_at
        return bytes(view[start : start + self.data_length - 5])


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


def match(pattern: Pattern, view: memoryview, streams: Streams) -> int:
    """End the streams whose responses the view holds, from its start; how many of them were taken."""
    parts = pattern.parts
    ok, other, pop = streams.ok, streams.other, streams.live.pop
    before = len(ok) + len(other)
    special = streams.responses.keys() | streams.unsent.keys() if streams.responses or streams.unsent else ()
    for a, i, b, j, c, d, k, e in pattern.cut(view):
        # One comparison of tuples costs half of what five of their parts do.
        if (a, b, c, d, e) != parts or not i == j == k or (special and i in special):
            break
        ticket = pop(i, _ABSENT)
        if type(ticket) is tuple:
            ok.append(ticket)
        elif ticket is None:
            other.append((None, 0, b""))
        elif ticket is _ABSENT:
            break
        else:
            at = (len(ok) + len(other) - before) * pattern.size
            other.append((ticket, 0, pattern.message(view, at)))
    return len(ok) + len(other) - before


class Patterns:
    """The patterns learnt on one connection: by DATA length, from two equal responses of that length."""

    __slots__ = ("_blocks", "_credit", "_known", "_once", "_outgoing", "_streams", "_whole")

    def __init__(
        self, blocks: ResponseBlocks, streams: Streams, outgoing: Outgoing, credit: ReceiveWindow
    ) -> None:
        self._blocks, self._streams, self._outgoing, self._credit = blocks, streams, outgoing, credit
        self._known: dict[int, Pattern] = {}
        self._once: dict[int, Parts] = {}
        self._whole: dict[int, Pattern] = {}
        """By the bytes of so many responses, and of those with a WINDOW_UPDATE behind them."""

    def forget(self) -> None:
        """Header blocks mean something else from now on. What came once counts as decoded no more."""
        self._known.clear()
        self._whole.clear()

    def take_front(self, view: memoryview, n: int) -> Found | int:
        """``Connection.take_front``, between two frames."""
        pattern = self._whole.get(n)
        streams, credit, outgoing = self._streams, self._credit, self._outgoing
        if pattern is None or streams.responses or streams.unsent:
            return 0
        size = pattern.size
        count = n // size
        increment = 0
        if n > count * size:
            head, increment = _unpack_update(view, count * size)
            if head != _UPDATE_HEAD or not 0 < increment <= MAX_WINDOW - outgoing.window:
                return 0
        quiet = credit.quiet - count * pattern.data_length
        if quiet < 0:  # we owe an update of our window: the general parser sends it, at the same byte
            return 0
        found: Found
        if count == 1:  # a loop over one would cost a tenth of all that a request takes
            a, i, b, j, c, d, k, e = pattern.cut_one(view)
            ticket = streams.live.get(i, _ABSENT)
            if (a, b, c, d, e) != pattern.parts or not i == j == k or ticket is _ABSENT:
                return 0
            del streams.live[i]
            if type(ticket) is tuple:
                found = [ticket], _NONE
            else:
                found = _NONE, [(ticket, 0, b"" if ticket is None else pattern.message(view, 0))]
        else:
            taken = match(pattern, view[: count * size], streams)
            if taken < count:
                credit.quiet -= taken * pattern.data_length
                return taken * size
            found = streams.ok, streams.other
            streams.ok, streams.other = [], []
        outgoing.window += increment
        credit.quiet = quiet
        return found

    def take(self, view: memoryview, p: int) -> int:
        """Take responses of known patterns and updates of the connection's window from ``p`` on, where a
        frame starts; where that ends."""
        n = len(view)
        credit = self._credit
        while n - p >= _UPDATE_SIZE:
            kind = view[p + 3]
            if kind == WINDOW_UPDATE:  # Triton sends one with nearly every small response
                head, increment = _unpack_update(view, p)
                if head != _UPDATE_HEAD or not 0 < increment <= MAX_WINDOW:
                    break
                self._outgoing.grow(increment)
                p += _UPDATE_SIZE
                continue
            if kind != HEADERS:
                break
            data_at = p + 9 + view[p + 2]
            if n - data_at < 9:
                break
            high, length = _DATA_LENGTH.unpack_from(view, data_at)
            pattern = self._known.get(length)
            taken = 0
            if pattern is not None and not high:
                # Only as many as need no window update: the general parser sends those, at the same byte.
                size = pattern.size
                count = min((n - p) // size, credit.quiet // length)
                taken = match(pattern, view[p : p + count * size], self._streams)
            if not taken:
                self._learn(view, p)
                break
            credit.quiet -= taken * length
            p += taken * size
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
            for count in range(1, MOST_WHOLE + 1):
                n = count * pattern.size
                self._whole[n] = self._whole[n + _UPDATE_SIZE] = pattern
