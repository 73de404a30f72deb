"""One HTTP/2 connection as the client sees it: requests in, buffers out; bytes in, ended requests out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from triton_users.wire import frames, settings
from triton_users.wire.errors import ExcessError, FrameSizeError, ProtocolError, code_name
from triton_users.wire.fast import Found, Patterns
from triton_users.wire.headers import MOST_CHANGES, RequestBlocks, ResponseBlocks
from triton_users.wire.incoming import WHOLE_DATA, Assembly, Data, Payload
from triton_users.wire.outgoing import Buffers, Outgoing
from triton_users.wire.received import Received
from triton_users.wire.request import Encoded
from triton_users.wire.status import Status
from triton_users.wire.streams import Streams
from triton_users.wire.windows import DEFAULT_WINDOW, MAX_WINDOW

Handler = Callable[["Connection", memoryview, int, int], None]
"""What takes a frame's payload, flags and stream id."""

_new = tuple.__new__


def _take_nothing(view: memoryview, n: int) -> int:
    """Something is half read, or no form has been learnt."""
    return 0


_HEADERS_FORM: Final = frames.END_HEADERS | frames.PADDED | frames.PRIORITISED

MAX_WHOLE: Final = 33 * 1024
"""Bytes of payload of any other frame, for it has to be whole in the caller's buffer."""


class Connection:
    """The client half of gRPC over one HTTP/2 connection; knows no socket and no clock.

    ``live`` maps each open stream to its ticket and is the one truth about open streams. A plain tuple is
    the ticket of a load request whose message nobody wants; None says that the request has expired, and
    may be set by the caller at any time; any other object wants its message.

    ``window`` is what we allow the server to send, in bytes, per stream and in all; a client cannot start
    below 65,535 (RFC 9113 section 6.9.2). ``fast`` False leaves everything to the general parser.
    The caller's buffer must hold MAX_WHOLE + 9 bytes at least.
    """

    def __init__(
        self,
        authority: str,
        *,
        scheme: str = "http",
        max_stream_id: int = frames.MAX_ID,
        fast: bool = True,
        window: int = MAX_WINDOW,
    ) -> None:
        if not DEFAULT_WINDOW <= window <= MAX_WINDOW:
            raise ValueError(f"a window of {window} bytes")
        self.ready = False
        """The server's SETTINGS have arrived."""
        self.closing = False
        """GOAWAY received, stream ids used up, or the protocol broken: ``send`` must not be called."""
        self._window = window
        self._max_id = max_stream_id
        self._peer = settings.PeerSettings()
        self._request_blocks = RequestBlocks(authority, scheme)
        self._response_blocks = ResponseBlocks()
        self._outgoing = Outgoing(self._request_blocks, self._peer)
        self._pending, self._openings = self._outgoing.pending, self._request_blocks.openings
        self._streams = Streams(self._outgoing, window)
        self.live = self._streams.live
        self._data = Data(self._streams, window)
        self._patterns: Patterns | None = None
        """None until the server's SETTINGS have arrived."""
        self.take_front: Callable[[memoryview, int], Found | int] = _take_nothing
        """Take the first bytes of a view, so many, if they are responses like earlier ones, whole, and
        perhaps an update of the connection's window behind them: what Triton sends nearly always. (ok, other)
        as in ``Received``; or how many bytes were taken, often none: ``receive`` has to see the rest, and
        reports all."""
        self._fast = fast
        self._assembly: Assembly | None = None
        self._fault: ProtocolError | None = None

    # -- the caller's side ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Requests not yet wholly written."""
        return len(self._pending)

    @property
    def room_for_ids(self) -> int:
        """How many more requests the stream ids allow."""
        return max(0, (self._max_id - self._streams.next_id) // 2 + 1)

    def start(self) -> bytes:
        """What to write first, before any request."""
        return settings.opening(self._window)

    def send(self, encoded: Sequence[Encoded], tickets: Sequence[object]) -> Buffers:
        """Start one request per ticket; the buffers to write now, in order.

        What finds no room (windows, MAX_CONCURRENT_STREAMS) leaves through a later ``Received.out``.
        """
        streams, outgoing, n = self._streams, self._outgoing, len(encoded)
        stream_id = first = streams.next_id
        stop = first + 2 * n
        if self.closing or stop - 2 > self._max_id:
            raise ValueError(f"this connection has no room for {n} more streams")
        if len(tickets) != n:
            raise ValueError(f"{len(tickets)} tickets for {n} requests")
        if not n:
            return []
        live, items, openings = self.live, streams.items, self._openings
        # The measured hot path: everything but the stream ids is remembered, and neighbours of the same head
        # and size cost no look-up. The window is negative as soon as not all can leave at once.
        window = outgoing.window if outgoing.idle(len(live) + n) else -1
        head, size, opening, block = None, -1, b"", b""
        pieces: list[bytes | memoryview] = []
        for item, ticket in zip(encoded, tickets, strict=True):
            live[stream_id] = ticket
            items[stream_id] = item
            if item.head is not head or item.size != size:
                head, size = item.head, item.size
                known = openings.get(id(head))
                if known is None or size > outgoing.largest:
                    window = -1
                else:
                    opening, block = known[1], known[2] + item.data_head
            raw_id = frames.pack_u32(stream_id)
            pieces += (opening, raw_id, block, raw_id, item.body)
            window -= size
            stream_id += 2
        streams.next_id = stop
        if len(items) > streams.tidy_at:
            streams.tidy()
        self.closing = stop > self._max_id
        if window >= 0:
            outgoing.window = window
            return [b"".join(pieces)]
        for stream_id, item in zip(range(first, stop, 2), encoded, strict=True):
            outgoing.add(stream_id, item)
        out: Buffers = []
        streams.pump(out)
        return out

    def send_one(self, item: Encoded, ticket: object) -> bytes | None:
        """``send`` for one small request that leaves at once, in fewer steps; None, with nothing done, for
        any other. Most sends of a slow closed loop and of an open one are such."""
        streams, outgoing, live = self._streams, self._outgoing, self.live
        stream_id = streams.next_id
        known = self._openings.get(id(item.head))
        window = outgoing.window - item.size
        if (
            known is None
            or window < 0
            or self._pending
            or self.closing
            or item.size > outgoing.largest
            or len(live) >= self._peer.max_concurrent
            or stream_id + 2 > self._max_id  # the last id is the general way's
        ):
            return None
        outgoing.window = window
        live[stream_id] = ticket
        streams.next_id = stream_id + 2
        items = streams.items
        items[stream_id] = item
        if len(items) > streams.tidy_at:
            streams.tidy()
        _, opening, block = known
        raw_id = frames.pack_u32(stream_id)
        return b"".join((opening, raw_id, block, item.data_head, raw_id, item.body))

    def receive(self, view: memoryview) -> Received:
        """Take what the server sent: the unused rest of the view before, and what was read since.

        Raises ProtocolError when the connection is of no further use; see there for what ended before.
        """
        if self._fault is not None:
            raise ProtocolError(self._fault.message)
        streams = self._streams
        try:
            used = self._parse(view)
            if self._pending:
                streams.pump(streams.out)
        except ProtocolError as fault:
            self._fault = fault
            self.closing = True
            self._data.payload = None
            self.take_front = _take_nothing
            streams.out.append(frames.goaway(fault.code, fault.message.encode()))
            fault.received = Received(streams.ok, streams.other, streams.out, len(view), 0, True)
            raise
        skip = 0 if self._data.payload is None else self._data.skippable()
        if self._patterns is not None and self._data.payload is None and self._assembly is None:
            self.take_front = self._patterns.take_front
        else:
            self.take_front = _take_nothing
        # As the class itself does it, at half of its price.
        gathered = (streams.ok, streams.other, streams.out, used, skip, self.closing)
        streams.ok, streams.other, streams.out = [], [], []
        return _new(Received, gathered)

    def take_refused(self) -> list[tuple[Encoded, Any]]:
        """(request, ticket) of what a GOAWAY left unprocessed since the last call: they have no stream any
        more, and may be sent again on another connection."""
        refused, self._streams.refused = self._streams.refused, []
        return refused

    def skipped(self, n: int) -> None:
        """The caller discarded ``n`` bytes, at most the last ``Received.skip``."""
        self._data.skipped(n)

    # -- the loop ---------------------------------------------------------------------------------------

    def _parse(self, view: memoryview) -> int:
        n = len(view)
        p = self._data.resume(view, 0) if self._data.payload is not None else 0
        while n - p >= frames.HEAD_SIZE:
            if self._patterns is not None and self._assembly is None:
                p = self._patterns.take(view, p)
                if n - p < frames.HEAD_SIZE:
                    break
            q = self._frame(view, p)
            if q == p:
                break
            p = q
        return p

    def _frame(self, view: memoryview, p: int) -> int:
        """The general parser: the frame at ``p``; where it ends, or ``p`` when more bytes are needed."""
        high, low, kind, flags, stream_id = frames.HEAD.unpack_from(view, p)
        length: int = high << 16 | low
        stream_id &= frames.MAX_ID
        start = p + frames.HEAD_SIZE
        assembly = self._assembly
        if assembly is not None and (kind != frames.CONTINUATION or stream_id != assembly.stream_id):
            raise ProtocolError("a frame in the middle of a header block")
        if kind == frames.DATA and self.ready:
            padded = bool(flags & frames.PADDED)
            if len(view) - start < (length if length <= WHOLE_DATA else padded):
                return p
            return self._data.frame(view, start, length, flags, stream_id)
        if not self.ready and kind != frames.SETTINGS:
            raise ProtocolError("the server's first frame is not SETTINGS: does it speak HTTP/2?")
        handler = self._HANDLERS.get(kind)
        if handler is None:  # unknown types are ignored (section 4.1)
            return self._data.take(Payload(0, length, 0, False), view, start)
        if length > MAX_WHOLE:
            raise ExcessError(f"a frame of type {kind} with {length} bytes")
        end = start + length
        if end > len(view):
            return p
        handler(self, view[start:end], flags, stream_id)
        return end

    # -- frames of a stream -----------------------------------------------------------------------------

    def _headers(self, payload: memoryview, flags: int, stream_id: int) -> None:
        """Section 6.2."""
        self._streams.check_known(stream_id)
        if flags & _HEADERS_FORM == frames.END_HEADERS:
            self._block(stream_id, bytes(payload), bool(flags & frames.END_STREAM))
            return
        padding = 0
        if flags & frames.PADDED:
            if not payload:
                raise FrameSizeError("HEADERS without its padding length")
            padding, payload = payload[0], payload[1:]
        if flags & frames.PRIORITISED:
            if len(payload) < 5:
                raise FrameSizeError("HEADERS without its priority")
            payload = payload[5:]
        if padding > len(payload):
            raise ProtocolError("more padding than payload")
        self._assembly = Assembly(stream_id, bool(flags & frames.END_STREAM))
        self._assemble(self._assembly, payload[: len(payload) - padding], flags)

    def _continuation(self, payload: memoryview, flags: int, stream_id: int) -> None:
        if self._assembly is None:
            raise ProtocolError("CONTINUATION without HEADERS")
        self._assemble(self._assembly, payload, flags)

    def _assemble(self, assembly: Assembly, part: memoryview, flags: int) -> None:
        assembly.add(part)
        if not flags & frames.END_HEADERS:
            return
        self._assembly = None
        self._block(assembly.stream_id, assembly.block, assembly.ends)

    def _block(self, stream_id: int, raw: bytes, ends: bool) -> None:
        blocks = self._response_blocks
        changes = blocks.changes
        block = blocks.block(raw)  # that of a stream which has ended may change the table too
        if blocks.changes != changes:
            self._table_changed()
        if stream_id not in self.live:
            return
        verdict = self._streams.response(stream_id).headers(block, ends)
        if verdict is not None:
            self._streams.end(stream_id, *verdict)

    def _table_changed(self) -> None:
        """The bytes of a header block mean something else from now on."""
        if self._patterns is not None:
            self._patterns.forget()
        if self._response_blocks.changes == MOST_CHANGES:
            self._streams.out.append(settings.NO_TABLE)

    def _reset(self, payload: memoryview, _: int, stream_id: int) -> None:
        """Section 6.4. After a complete response it only asks us to send no more."""
        if len(payload) != 4:
            raise FrameSizeError("RST_STREAM is four bytes")
        self._streams.check_known(stream_id)
        (code,) = frames.unpack_u32(payload)
        self._outgoing.drop(stream_id)
        if stream_id in self.live:
            self._streams.end(stream_id, Status.from_rst(code), f"stream reset: {code_name(code)}".encode())

    # -- frames of the connection -----------------------------------------------------------------------

    def _settings(self, payload: memoryview, flags: int, stream_id: int) -> None:
        """Section 6.5. Effective at once, and acknowledged before anything that relies on them."""
        if stream_id:
            raise ProtocolError("SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise FrameSizeError("an acknowledgement of SETTINGS with a payload")
            if not self.ready:
                raise ProtocolError("the server acknowledged SETTINGS before sending its own")
            return
        window = self._peer.initial_window
        self._peer.apply(payload)
        self._request_blocks.resize(self._peer.header_table_size)
        self._outgoing.shift_windows(self._peer.initial_window - window)
        self._streams.out.append(frames.SETTINGS_ACK)
        self.ready = True
        if self._patterns is None and self._fast:
            self._patterns = Patterns(self._response_blocks, self._streams, self._outgoing, self._data.credit)

    def _window_update(self, payload: memoryview, _: int, stream_id: int) -> None:
        """Section 6.9."""
        if len(payload) != 4:
            raise FrameSizeError("WINDOW_UPDATE is four bytes")
        increment = frames.unpack_u32(payload)[0] & MAX_WINDOW
        if stream_id:
            self._streams.check_known(stream_id)
            if stream_id not in self.live:
                return
        if not increment:
            raise ProtocolError("a window enlarged by nothing")
        if stream_id:
            self._outgoing.grow_stream(stream_id, increment)
        else:
            self._outgoing.grow(increment)

    def _ping(self, payload: memoryview, flags: int, stream_id: int) -> None:
        """Section 6.7."""
        if stream_id:
            raise ProtocolError("PING on a stream")
        if len(payload) != 8:
            raise FrameSizeError("PING is eight bytes")
        if not flags & frames.ACK:
            self._streams.out.append(frames.ping_ack(bytes(payload)))

    def _goaway(self, payload: memoryview, _: int, stream_id: int) -> None:
        """Section 6.8: streams above the last id were not and will not be processed, so may be retried."""
        if stream_id:
            raise ProtocolError("GOAWAY on a stream")
        if len(payload) < 8:
            raise FrameSizeError("GOAWAY is eight bytes or more")
        last, code = frames.unpack_u32(payload)[0] & frames.MAX_ID, frames.unpack_u32(payload, 4)[0]
        self.closing = True
        debug = bytes(payload[8:]).decode("utf-8", "replace")
        reason = f"the server is going away: {code_name(code)} {debug}".rstrip().encode()
        self._streams.refuse_above(last, reason)

    def _priority(self, payload: memoryview, _: int, stream_id: int) -> None:
        """Section 6.3: deprecated, legal on any stream, ignored."""
        if not stream_id:
            raise ProtocolError("PRIORITY without a stream")
        if len(payload) != 5:
            raise FrameSizeError("PRIORITY is five bytes")

    def _push_promise(self, payload: memoryview, _: int, stream_id: int) -> None:
        raise ProtocolError("PUSH_PROMISE, though push is off")

    _HANDLERS: ClassVar[dict[int, Handler]] = {
        frames.HEADERS: _headers,
        frames.PRIORITY: _priority,
        frames.RST_STREAM: _reset,
        frames.SETTINGS: _settings,
        frames.PUSH_PROMISE: _push_promise,
        frames.PING: _ping,
        frames.GOAWAY: _goaway,
        frames.WINDOW_UPDATE: _window_update,
        frames.CONTINUATION: _continuation,
    }
