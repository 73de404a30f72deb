"""The open streams of a connection, and the one way in which they end."""

from __future__ import annotations

from typing import Any, Final

from triton_users.wire import frames
from triton_users.wire.errors import ErrorCode, ProtocolError
from triton_users.wire.outgoing import Buffers, Outgoing
from triton_users.wire.request import Encoded
from triton_users.wire.response import Response
from triton_users.wire.status import Status

SPARE: Final = 16
"""Requests of ended streams that are held before they are looked for: they may be megabytes each."""


class Streams:
    """``live`` is the one truth about which streams are open. Beside it stands only what few streams need:
    a ``Response`` while a part of one was parsed, an entry in ``outgoing`` while a request is unsent.

    ``ok``, ``other`` and ``out`` gather what the next ``Received`` will hold; ``refused`` what may be sent
    again on another connection.
    """

    def __init__(self, outgoing: Outgoing, window: int) -> None:
        self.live: dict[int, object] = {}
        self.responses: dict[int, Response] = {}
        self.next_id = 1
        self.unsent = outgoing.pending
        self._outgoing = outgoing
        self._window = window
        self.ok: list[tuple[Any, ...]] = []
        self.other: list[tuple[object, int, bytes]] = []
        self.out: Buffers = []
        self.refused: list[tuple[Encoded, object]] = []
        self.items: dict[int, Encoded] = {}
        """The requests of the open streams, which may have to be sent again; and of some that have ended."""
        self.tidy_at = SPARE
        """``tidy`` is due when there are more items."""

    def check_known(self, stream_id: int) -> None:
        """A stream that we never opened is the server's fault; one that has ended may have crossed."""
        idle = self._outgoing.first_unopened(self.next_id) if self.unsent else self.next_id
        if not stream_id & 1 or stream_id >= idle:
            raise ProtocolError(f"a frame on stream {stream_id}, which was never opened")

    def tidy(self) -> None:
        """Let go of the requests of streams that have ended. Doing so as each ends would cost several times
        as much."""
        items = self.items
        self.items = {stream_id: items[stream_id] for stream_id in self.live}
        self.tidy_at = 2 * len(self.items) + SPARE

    def response(self, stream_id: int) -> Response:
        """The response of a live stream."""
        response = self.responses.get(stream_id)
        if response is None:
            response = self.responses[stream_id] = Response(self._window)
        return response

    def wanted(self, stream_id: int) -> bool:
        """Whether somebody waits for the message of a live stream."""
        ticket = self.live[stream_id]
        return ticket is not None and type(ticket) is not tuple

    def end(self, stream_id: int, status: int, payload: bytes) -> None:
        """Report the end of a live stream."""
        ticket = self.live.pop(stream_id)
        self.responses.pop(stream_id, None)
        if self._outgoing.drop(stream_id):
            # Answered before all was sent: the stream stays open on our side until we say so.
            self.out.append(frames.reset(stream_id, ErrorCode.NO_ERROR))
        if type(ticket) is tuple and status == Status.OK:
            self.ok.append(ticket)
        else:
            self.other.append((ticket, int(status), b"" if ticket is None else payload))

    def refuse_above(self, last: int, reason: bytes) -> None:
        """End what a GOAWAY leaves unprocessed: streams above the last id, and all that are unopened.

        They may be sent again (RFC 9113 section 8.7) as long as that gets anywhere: where the server took
        none at all of a connection's streams, they fail.
        """
        progress = last > 0 and self._outgoing.first_unopened(self.next_id) > 1
        unopened = self._outgoing.drop_unopened()
        for stream_id in sorted(unopened | {one for one in self.live if one > last}):
            self._outgoing.drop(stream_id)
            if not progress or self.live[stream_id] is None:
                self.end(stream_id, Status.UNAVAILABLE, reason)
            else:
                self.responses.pop(stream_id, None)
                self.refused.append((self.items[stream_id], self.live.pop(stream_id)))

    def pump(self, out: Buffers) -> None:
        """Write what has room now; requests that expired before they were sent end here."""
        for _ in range(self._outgoing.pump(out, self.live)):
            self.other.append((None, int(Status.CANCELLED), b""))
