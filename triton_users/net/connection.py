"""One HTTP/2 connection: a stream of bytes, the protocol on it, and the tickets in flight.

All work happens in callbacks of the hub: they never block and never raise. Whatever one readiness of the
socket brings is handled as one batch, and everything it makes us send leaves in one system call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event

from triton_users.clock import now_ns
from triton_users.net.call import expired
from triton_users.net.errors import ConnectionLost
from triton_users.net.listener import Listener, Ticket, report
from triton_users.net.stream import Buffer, Stream
from triton_users.wire import Connection as Wire
from triton_users.wire import Encoded, ProtocolError, Received, Status

READ, WRITE = 1, 2
BUFFER_BYTES = 1 << 18
"""Receive buffer: long messages are taken piece by piece, and no more than MAX_WHOLE is ever kept of one."""


class Connection:
    """Speaks gRPC on ``stream`` for ``listener``. ``ended`` is called once, with the reason; ``again`` with
    requests and their entries that a server on its way out did not take."""

    def __init__(
        self,
        stream: Stream,
        authority: str,
        listener: Listener,
        ended: Callable[[Connection, str], None],
        again: Callable[[Sequence[Encoded], Sequence[Any]], None],
    ) -> None:
        self.wire = Wire(authority)
        self.live = self.wire.live
        self.expired = 0
        """Streams still open whose requests have been given up."""
        self.closed = False
        self.orderly = False
        """It ended, or is ending, as it should: the server took its leave, or we did."""
        self.settled = Event()
        """Set when the server's settings have arrived, or the connection has ended."""
        self.since_ns = now_ns()
        self.usable = False
        """Requests may be sent. Kept as it changes, since every sending asks."""
        self.reordered = False
        """It carries requests that another one sent first: its ids are not in the order of sending."""
        self._ids = self.wire.room_for_ids
        self._last = False
        self.listener = listener
        self._stream = stream
        self._ended = ended
        self._again = again
        self._settling = True
        self._broken = ""
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._kept = 0
        self._skip = 0
        self._out: list[Buffer] = []
        self._batching = False
        self._writing = False
        loop = gevent.get_hub().loop
        self._reader: Any = loop.io(stream.fileno(), READ)
        self._writer: Any = loop.io(stream.fileno(), WRITE)
        self._reader.start(self._readable)
        self.write([self.wire.start()])

    @property
    def in_flight(self) -> int:
        """Requests sent, unanswered and not given up."""
        return len(self.live) - self.expired

    @property
    def leaving(self) -> bool:
        """The server asked for no more requests, or the stream ids are used up: another one is needed."""
        return self.wire.closing and not self.closed and not self._broken

    @property
    def carried(self) -> bool:
        """It has carried a request."""
        return self.ids_left < self._ids

    @property
    def ids_left(self) -> int:
        """How many more requests it can carry."""
        return self.wire.room_for_ids

    # Sending

    def send(self, items: Sequence[Encoded], entries: Sequence[object]) -> None:
        """Send one request for each entry: tickets of load requests, or what call.Ended describes."""
        buffers = self.wire.send(items, entries)
        if self.wire.closing:
            self.usable = False  # those were its last ids
        self.write(buffers)

    def send_one(self, item: Encoded, entry: object) -> None:
        """``send`` for one request."""
        data = self.wire.send_one(item, entry)
        if data is None:
            self.send((item,), (entry,))
        elif self._out or self._batching:
            self._out.append(data)
        else:
            try:
                taken = self._stream.send((data,))
            except ConnectionLost as error:
                self._lost(error)
                return
            if taken < len(data):
                self._out = [memoryview(data)[taken:]]
                self._flush()

    def write(self, buffers: list[Buffer]) -> None:
        """Send these, after what waits already. The list is ours from now on."""
        if self._out:
            self._out += buffers
        else:
            self._out = buffers
        if not self._batching and not self._writing:
            self._flush()

    def _flush(self) -> None:
        out = self._out
        if not out or self.closed or self._broken:
            return
        try:
            while out:
                taken = self._stream.send(out)
                if len(out) == 1 and taken == len(out[0]):
                    out.clear()
                elif taken:
                    self._drop(taken)
                else:
                    break
        except ConnectionLost as error:
            self._lost(error)
            out.clear()
        if out and not self._writing:
            self._writing = True
            self._writer.start(self._flush)
        elif self._writing and not out:
            self._writing = False
            self._writer.stop()

    def _lost(self, error: ConnectionLost) -> None:
        """What the server answered before may still be there to be read: the reader ends the connection."""
        self._broken, self.usable = str(error), False

    def _drop(self, count: int) -> None:
        out = self._out
        whole = 0
        for buffer in out:
            if count < len(buffer):
                break
            count -= len(buffer)
            whole += 1
        del out[:whole]
        if count:
            out[0] = memoryview(out[0])[count:]

    # Receiving

    def _readable(self) -> None:
        try:
            if self._skip:
                self._discard()
                return
            view, kept = self._view, self._kept
            taken = self._stream.receive(view[kept:] if kept else view)
            if taken < 0:
                if self._broken:
                    raise ConnectionLost(self._broken)
                return
            now = now_ns()
            filled = kept + taken
            front = self.wire.take_front(view, filled)
            if isinstance(front, int):
                rest = self.wire.receive(view[front:filled])
        except ConnectionLost as error:
            self.close(str(error))
            return
        except ProtocolError as error:
            self._fault(error, now)
            return
        except Exception:
            report(self)
            self.close("a fault of the client's own: see its output")
            return
        self._kept = 0
        if isinstance(front, int):
            self._take(rest, front, filled, now)
        else:
            self._book(*front, now)
        if not self.live and (self._last or self.wire.closing):
            self.finish()

    def _take(self, got: Received, front: int, filled: int, now: int) -> None:
        ok, other, out, used, self._skip, closing = got
        if front + used < filled:
            self._keep(front + used, filled)
        if closing or self._settling:
            self._settle(closing)
        self._out += out
        if ok or other:
            self._book(ok, other, now)
        elif out and not self._writing:
            self._flush()

    def _settle(self, closing: bool) -> None:
        """The server's settings have arrived, or it takes its leave."""
        if closing:
            self.usable = False
            if refused := self.wire.take_refused():
                try:
                    self._again([item for item, _ in refused], [entry for _, entry in refused])
                except Exception:
                    report(self)
        elif self.wire.ready:
            self._settling = False
            self.usable = True
            self.settled.set()

    def _book(self, ok: Sequence[Ticket], other: Sequence[tuple[Any, int, bytes]], now: int) -> None:
        """Tell the listener what has ended; what that makes it send leaves with our acknowledgements."""
        listener = self.listener
        try:
            if other or self._out:
                self._batching = True
                self._finish(other, now)
            listener.room(now)
        except Exception:
            report(self)
        finally:
            if self._batching:
                self._batching = False
                if not self._writing:
                    self._flush()
        if ok:
            try:
                listener.done(ok, now)
            except Exception:
                report(self)

    def _fault(self, error: ProtocolError, now: int) -> None:
        """The server broke the protocol: what ended before still counts."""
        reason = f"the server broke the protocol: {error}"
        got = error.received
        if got is not None:
            self.write(got.out)
        self._broken, self.usable = reason, False  # nothing more is sent
        if got is not None:
            self._book(got.ok, got.other, now)
        self.close(reason)

    def _discard(self) -> None:
        dropped = self._stream.discard(self._skip)
        if dropped > 0:
            self._skip -= dropped
            self.wire.skipped(dropped)
        elif self._broken:
            raise ConnectionLost(self._broken)

    def _keep(self, used: int, filled: int) -> None:
        """Bytes that make no whole frame yet go to the front."""
        self._kept = filled - used
        if used:
            self._buffer[: self._kept] = self._buffer[used:filled]

    def _finish(self, other: Sequence[tuple[Any, int, bytes]], now: int) -> None:
        for ticket, status, data in other:
            try:
                if ticket is None:
                    self.expired -= 1
                elif type(ticket) is tuple:
                    self.listener.failed(ticket, status, data, now)
                else:
                    ticket.finish(status, data, now)
            except Exception:
                report(self)

    # Giving up

    def expire(self, sent_before_ns: int, status: int, message: bytes, now: int, *, end: bool = False) -> int:
        """Give up what was sent before an instant: it fails with ``status``; its streams stay open, since
        cancelling can crash servers. ``end``: the step is over. Returns how many."""
        live = self.live
        given_up = []
        for stream_id, ticket in live.items():
            if ticket is None:
                continue
            if expired(ticket, sent_before_ns, end):
                given_up.append((stream_id, ticket))
            elif type(ticket) is tuple and not self.reordered:
                break  # later streams were sent later
        for stream_id, _ in given_up:
            live[stream_id] = None
        self.expired += len(given_up)
        self._finish([(ticket, status, message) for _, ticket in given_up], now)
        return len(given_up)

    def forget(self, call: object) -> bool:
        """Nobody waits for ``call`` any more; its stream stays open until the server ends it."""
        for stream_id, entry in self.live.items():
            if entry is call:
                self.live[stream_id] = None
                self.expired += 1
                return True
        return False

    def finish(self) -> None:
        """Close as soon as no stream is open; nothing more is sent."""
        self._last = True
        if not self.live:
            self.orderly = True
            self.close("the server asked to go away" if self.wire.closing else "closed by the client")

    def close(self, reason: str) -> None:
        """End the transport; what is in flight fails as UNAVAILABLE."""
        if self.closed:
            return
        self.closed, self.usable = True, False
        self._reader.stop()
        self._writer.stop()
        self._reader.close()
        self._writer.close()
        self._stream.close()
        cut_off = [*self.live.values(), *(entry for _, entry in self.wire.take_refused())]
        self.live.clear()
        self.orderly = self.orderly and not cut_off
        self._out.clear()
        self.settled.set()
        self._ended(self, reason)
        self._finish([(t, Status.UNAVAILABLE, reason.encode()) for t in cut_off], now_ns())
        self.expired = 0
