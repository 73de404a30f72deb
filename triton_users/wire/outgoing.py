"""Requests on their way out: they wait here for whatever the server has not yet allowed."""

from __future__ import annotations

from collections import deque
from typing import Final

from triton_users.wire import frames
from triton_users.wire.headers import RequestBlocks
from triton_users.wire.request import Encoded
from triton_users.wire.settings import PeerSettings
from triton_users.wire.windows import DEFAULT_WINDOW, MAX_WINDOW, grown

Buffers = list[bytes | memoryview]

JOINED_BODY: Final = frames.SMALLEST_MAX_FRAME_SIZE
"""Bodies up to so many bytes are copied into one buffer with their neighbours; larger ones never are."""


class Pending:
    """A request that is not wholly written: unopened, or open with some of its body left.

    ``window`` is its stream's (bytes, may be negative); ``queued`` says that it is in the line of those
    that wait for the connection's window. One that waits for its own stream's window is in no line.
    """

    __slots__ = ("body", "item", "opened", "queued", "sent", "stream_id", "window")

    def __init__(self, stream_id: int, item: Encoded) -> None:
        self.stream_id = stream_id
        self.item = item
        self.body = memoryview(item.body)
        self.sent = 0
        self.window = 0
        self.opened = False
        self.queued = False


class Outgoing:
    """Writes requests in order as far as three limits allow: the connection's window, the stream's window
    and the number of streams at once. Streams open in order of their ids (RFC 9113 section 5.1.1).
    """

    def __init__(self, blocks: RequestBlocks, peer: PeerSettings) -> None:
        self.pending: dict[int, Pending] = {}
        self._blocks = blocks
        self._peer = peer
        self.window = DEFAULT_WINDOW
        """Bytes of DATA that the connection has room for."""
        self.largest = JOINED_BODY
        """Bytes of the largest body that may leave in one piece with its neighbours."""
        self._unopened: deque[Pending] = deque()
        self._line: deque[Pending] = (
            deque()
        )  # open, waiting for the connection's window; may hold the dropped

    def first_unopened(self, next_id: int) -> int:
        """Streams from this id on are idle: the server cannot know them."""
        return self._unopened[0].stream_id if self._unopened else next_id

    def idle(self, live: int) -> bool:
        """Whether no request waits for its turn, and so many streams are allowed."""
        return not self._line and not self._unopened and live <= self._peer.max_concurrent

    # -- what waits -------------------------------------------------------------------------------------

    def add(self, stream_id: int, item: Encoded) -> None:
        pending = Pending(stream_id, item)
        self.pending[stream_id] = pending
        self._unopened.append(pending)

    def pump(self, out: Buffers, live: dict[int, object]) -> int:
        """Write all that has room, oldest first; how many were never sent, as they expired (ticket None)."""
        self._write_line(out)
        expired = 0
        # A stream is opened only when it can carry data: before, it would only occupy the server.
        while self._unopened and not self._line and self.window > 0:
            pending = self._unopened[0]
            if live[pending.stream_id] is None:
                expired += 1
                del live[pending.stream_id], self.pending[pending.stream_id]
            elif len(live) - len(self._unopened) >= self._peer.max_concurrent:
                break
            else:
                self._open(pending, out)
            self._unopened.popleft()
        return expired

    def _open(self, pending: Pending, out: Buffers) -> None:
        block = self._blocks.block(pending.item.head)
        out.append(frames.headers(pending.stream_id, block, self._peer.max_frame_size))
        pending.opened = True
        pending.window = self._peer.initial_window
        self._enqueue(pending)
        self._write_line(out)

    def _enqueue(self, pending: Pending) -> None:
        if pending.window > 0 and not pending.queued:
            pending.queued = True
            self._line.append(pending)

    def _write_line(self, out: Buffers) -> None:
        while self._line and self.window > 0:
            pending = self._line[0]
            if pending.stream_id in self.pending:
                self._write(pending, out)
                if pending.window > 0 and pending.stream_id in self.pending:
                    return  # the connection's window is used up
            pending.queued = False
            self._line.popleft()

    def _write(self, pending: Pending, out: Buffers) -> None:
        """DATA frames up to the tighter window; the body is sliced, never copied."""
        size = len(pending.body)
        while (n := min(self.window, pending.window, self._peer.max_frame_size, size - pending.sent)) > 0:
            start, pending.sent = pending.sent, pending.sent + n
            ends = pending.sent == size
            out.append(frames.head(n, frames.DATA, frames.END_STREAM if ends else 0, pending.stream_id))
            out.append(pending.body[start : pending.sent])
            self.window -= n
            pending.window -= n
            if ends:
                del self.pending[pending.stream_id]

    # -- what the server says ---------------------------------------------------------------------------

    def drop(self, stream_id: int) -> bool:
        """The stream has ended; whether some of its request was still unsent."""
        return self.pending.pop(stream_id, None) is not None

    def drop_unopened(self) -> set[int]:
        """After a GOAWAY no stream may be opened: the ids of those that never will be."""
        dropped = {pending.stream_id for pending in self._unopened}
        self._unopened.clear()
        for stream_id in dropped:
            del self.pending[stream_id]
        return dropped

    def grow(self, increment: int) -> None:
        """WINDOW_UPDATE of the connection."""
        window = self.window + increment
        self.window = window if window <= MAX_WINDOW else grown(self.window, increment)

    def grow_stream(self, stream_id: int, increment: int) -> None:
        """WINDOW_UPDATE of a stream; one whose request is written needs no window any more."""
        pending = self.pending.get(stream_id)
        if pending is not None:
            pending.window = grown(pending.window, increment)
            self._enqueue(pending)

    def shift_windows(self, delta: int) -> None:
        """A new SETTINGS_INITIAL_WINDOW_SIZE moves every open stream's window (RFC 9113 section 6.9.2)."""
        self.largest = min(JOINED_BODY, self._peer.initial_window)
        for pending in self.pending.values():
            if pending.opened:
                pending.window = grown(pending.window, delta)
                self._enqueue(pending)
