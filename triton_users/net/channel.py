"""A channel to one server: picks a connection, reconnects with backoff, drains before it closes.

As in gRPC, requests wait while a first new connection is being made after the server asked us to leave
(GOAWAY) or the stream ids ran out, and those that it did not take are sent again; once an attempt has failed
they fail at once as UNAVAILABLE, until a connection stands again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

import gevent

from triton_users.clock import now_ns
from triton_users.net.backoff import Backoff
from triton_users.net.call import Call, expired, grpc_timeout
from triton_users.net.connection import Connection
from triton_users.net.errors import NO_ANSWER, ConnectionLost, RpcError
from triton_users.net.held import Held, fail
from triton_users.net.listener import ControlOnly, Listener, Source, report, tickets_of
from triton_users.net.stream import Stream, TcpStream
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Encoded, Head, Status, encode

CONNECT_TIMEOUT_S = 5.0
STEADY_NS = NS_PER_S
"""A connection that stood this long has shown that the server is well: the backoff starts anew."""
EXPIRY_CHECK_S = 0.005
"""How often deadlines are looked at: a request is given up at most this much late."""
WAIT_S = 0.002

Connect = Callable[[str, int, float], Stream]


class Channel:
    """``target`` is HOST:PORT. With ``listen`` somebody hears of the tickets given to ``send``, and, by
    ``changed``, in the hub, of the channel becoming usable (True) and ceasing to be (False, the reason)."""

    def __init__(
        self,
        target: str,
        *,
        connections: int = 1,
        timeout_ns: int | None = None,
        connect: Connect = TcpStream.connect,
    ) -> None:
        host, _, port = target.rpartition(":")
        self.target = target
        self.timeout_ns = timeout_ns
        self.reason = f"no answer from {target} yet"
        """Why there is no connection."""
        self.connections_lost = 0
        """Connections that broke, or ended with requests in flight."""
        self._host, self._port = host.strip("[]"), int(port)
        self._listener: Listener = ControlOnly()
        self._count = connections
        self._changed: Callable[[bool, str], None] | None = None
        self._connect = connect
        self._current: list[Connection] = []
        self._retiring: list[Connection] = []
        self._left: list[Connection] = []  # with streams that an earlier step has given up
        self._held: list[Held] | None = None
        self._dialler: Any = None
        self._backoff = Backoff()
        self._expiry: Any = None
        self._closed = False

    def listen(self, listener: Listener, changed: Callable[[bool, str], None]) -> None:
        """Tell somebody else from now on; nothing may be in flight."""
        self._listener, self._changed = listener, changed
        for connection in self._all():
            connection.listener = listener

    def _all(self) -> list[Connection]:
        return [*self._current, *self._retiring, *self._left]

    # What is going on

    @property
    def connected(self) -> bool:
        return bool(self._current)

    @property
    def ready(self) -> bool:
        """A request may be sent: there is a connection, or one is being made and requests wait for it."""
        return bool(self._current) or self._held is not None

    @property
    def in_flight(self) -> int:
        """Requests sent or held, unanswered and not given up."""
        if len(self._current) == 1 and not self._retiring and not self._held:
            return self._current[0].in_flight
        return sum(c.in_flight for c in (*self._current, *self._retiring)) + len(self._held or ())

    @property
    def occupied(self) -> int:
        """Open streams, those of requests given up as well, and requests held: what the server may still
        have to do."""
        current = self._current
        if len(current) == 1 and not self._retiring and not self._held:
            return len(current[0].live)
        return sum(len(c.live) for c in (*current, *self._retiring)) + len(self._held or ())

    @property
    def given_up(self) -> int:
        """Open streams whose requests have been given up."""
        current = self._current
        if len(current) == 1 and not self._retiring:
            return current[0].expired
        return sum([c.expired for c in (*current, *self._retiring)])

    # Connecting

    def connect(self, timeout_ns: int = 5 * NS_PER_S) -> None:
        """Block until every connection stands. Raises RpcError(UNAVAILABLE) with the last reason."""
        deadline = now_ns() + timeout_ns
        ours = self._dialler is None
        while len(self._current) < self._count:
            self._redial()
            if self._closed or now_ns() >= deadline:
                if ours and self._dialler is not None:  # who is not waited for does not go on trying
                    self._dialler.kill(block=False)
                    self._dialler = None
                raise RpcError("UNAVAILABLE", self.reason)
            gevent.sleep(WAIT_S)

    def _open(self) -> Connection:
        stream = self._connect(self._host, self._port, CONNECT_TIMEOUT_S)
        connection = Connection(stream, self.target, self._listener, self._ended, self._send_again)
        try:
            connection.settled.wait(CONNECT_TIMEOUT_S)
        except BaseException:
            connection.close(self.reason)  # killed, or timed out: that is no reason of the server's
            raise
        if not connection.usable:
            connection.close(f"no HTTP/2 settings from {self.target}: is that the gRPC port?")
            raise ConnectionLost(self.reason)
        return connection

    def _ended(self, connection: Connection, reason: str) -> None:
        self.reason = reason
        known = connection in self._all()
        for place in (self._current, self._retiring, self._left):
            if connection in place:
                place.remove(connection)
        if self._closed or not known:
            return
        self.connections_lost += not connection.orderly
        self._replace(connection)

    def _replace(self, connection: Connection) -> None:
        """``connection`` carries no new requests any more. Where the server only asked us to leave, requests
        wait for its successor."""
        if self._closed or len(self._current) == self._count:
            return
        hold = connection.orderly or connection.leaving
        if (hold and connection.carried) or now_ns() - connection.since_ns >= STEADY_NS:
            self._backoff.succeeded()
        else:
            self._backoff.failed()
        if not self._current:
            if hold and self._held is None:
                self._held = []
            elif not hold:
                self._tell(False)
        else:
            gevent.get_hub().loop.run_callback(self._tell, True)  # what was cut off can go on elsewhere
        self._redial()

    def _tell(self, usable: bool) -> None:
        if self._changed is not None and usable == self.ready:
            try:
                self._changed(usable, "" if usable else self.reason)
            except Exception:
                report(self)

    def _redial(self) -> None:
        if self._dialler is None and not self._closed:
            self._dialler = gevent.spawn(self._dial)

    def _dial(self) -> None:
        me = gevent.getcurrent()
        try:
            while not self._closed and len(self._current) < self._count:
                gevent.sleep(self._backoff.pause_s)
                try:
                    connection = self._open()
                except ConnectionLost as error:
                    self.reason = str(error)
                    self._backoff.failed()
                    self._give_up_held()
                    continue
                self._add(connection)
        finally:
            if self._dialler is me:
                self._dialler = None

    def _add(self, connection: Connection) -> None:
        connection.listener = self._listener  # which may have changed since
        self._current.append(connection)
        if self.timeout_ns and self._expiry is None:
            self._expiry = gevent.get_hub().loop.timer(EXPIRY_CHECK_S, EXPIRY_CHECK_S)
            self._expiry.start(self._expire)
        held, self._held = self._held, None
        for again, group in groupby(held or (), key=attrgetter("again")):
            items, entries, _ = zip(*group, strict=True)
            self._place(items, entries, again=again)
        self._tell(True)

    def _give_up_held(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            fail(held, self._listener, Status.UNAVAILABLE, self.reason, self.reason)
            self._tell(False)

    # Sending

    def _pick(self) -> Connection | None:
        """The connection with the fewest requests in flight."""
        current = self._current
        while current:
            best = current[0] if len(current) == 1 else min(current, key=lambda one: len(one.live))
            if best.usable:
                return best
            # It lets what is in flight finish, and takes no more.
            current.remove(best)
            self._retiring.append(best)
            self.reason = "the server asked to go away" if best.leaving else "the connection broke"
            self._replace(best)
        return None

    def send(self, items: Sequence[Encoded], arrivals: Sequence[int] | None, now: int) -> bool:
        """Send one request for each item; False, with nothing sent, when there is no connection.

        ``now`` is this instant and ``arrivals`` those at which they were meant to be sent (ns, local clock);
        None: now, as in closed loop. A request that waits for a connection counts as sent.
        """
        if self._pick() is None and self._held is None:
            return False
        self._place(items, tickets_of(items, arrivals, now))
        return True

    def send_one(self, item: Encoded, arrival: int, now: int) -> bool:
        """``send`` for one request, in fewer steps."""
        current = self._current
        if len(current) == 1 and (connection := current[0]).usable:
            connection.send_one(item, (arrival, now, item.tag))
            return True
        return self.send((item,), (arrival,), now)

    def fill(self, slots: int, source: Source, now: int) -> int:
        """Send one request for each of so many slots that is vacant; how many. None without a connection.
        The stream of a request that was given up holds its slot until it ends."""
        current, free = self._current, slots
        if len(current) == 1 and not self._retiring and current[0].usable:  # nearly always
            free -= len(current[0].live)
            if free == 1:
                item = source.one()
                current[0].send_one(item, (now, now, item.tag))
                return 1
            if 1 < free <= current[0].ids_left:
                items = source.take(free)
                current[0].send(items, tickets_of(items, None, now))
                return free
        else:
            free -= self.occupied
        if free <= 0 or (self._pick() is None and self._held is None):
            return 0
        items = source.take(free)
        self._place(items, tickets_of(items, None, now))
        return free

    def _send_again(self, items: Sequence[Encoded], entries: Sequence[Any]) -> None:
        """These were sent to a server that did not take them: they go elsewhere."""
        self._place(items, entries, again=True)

    def _place(self, items: Sequence[Encoded], entries: Sequence[Any], *, again: bool = False) -> None:
        """Hand requests to a connection, or hold them until there is one, or refuse them."""
        while items:
            connection = self._pick()
            if connection is None:
                held = [Held(item, entry, again) for item, entry in zip(items, entries, strict=True)]
                if self._held is None:
                    fail(held, self._listener, Status.UNAVAILABLE, self.reason, self.reason)
                else:
                    self._held += held
                return
            connection.reordered |= again
            left = connection.ids_left
            connection.send(items[:left], entries[:left])
            items, entries = items[left:], entries[left:]

    def send_call(self, item: Encoded, call: Any, now: int) -> None:
        """Send, ``now``, a request whose answer ``call`` wants (see call.Ended). Raises RpcError(UNAVAILABLE)
        without a connection."""
        connection = self._pick()
        if connection is None and self._held is None:
            raise RpcError("UNAVAILABLE", self.reason)
        call.sent_ns = now
        if connection is not None:
            connection.send_one(item, call)
        else:
            self._place((item,), (call,))

    def call(
        self,
        path: str,
        message: bytes,
        timeout_ns: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> bytes:
        """One call, awaited by this greenlet: the answer's bytes. Connects if need be. Raises RpcError."""
        if timeout_ns is not None:
            headers = (*headers, grpc_timeout(timeout_ns))
        if not self.ready:
            self.connect(timeout_ns or 5 * NS_PER_S)
        call = Call()
        self.send_call(encode(Head(path.encode(), headers), message, want_message=True), call, now_ns())
        try:
            if timeout_ns is None:
                return call.wait()
            limit_s = timeout_ns / NS_PER_S + 0.1  # the server's own answer to a deadline says more
            answer: bytes | None = gevent.with_timeout(limit_s, call.wait, timeout_value=None)
        finally:
            if not call.ended:
                self.forget(call)
        if answer is not None:
            return answer
        raise RpcError(
            "DEADLINE_EXCEEDED", f"no answer from {self.target} within {timeout_ns / NS_PER_MS:g} ms"
        )

    def forget(self, call: Any) -> None:
        """Nobody waits for ``call`` any more; its stream stays open until the server ends it."""
        if self._held:
            self._held = [one for one in self._held if one.entry is not call]
        any(connection.forget(call) for connection in self._all())

    def _expire(self) -> None:
        assert self.timeout_ns is not None
        reason = f"no answer within {self.timeout_ns / NS_PER_MS:g} ms"
        self._give_up(Status.DEADLINE_EXCEEDED, reason, now_ns() - self.timeout_ns, end=False)

    def _give_up(self, status: int, reason: str, sent_before_ns: int, *, end: bool) -> int:
        """What was sent before an instant fails with ``status``. Returns how many."""
        now, message = now_ns(), reason.encode()
        count = sum(
            c.expire(sent_before_ns, status, message, now, end=end) for c in (*self._current, *self._retiring)
        )
        if self._held:
            held = [(expired(one.entry, sent_before_ns, end), one) for one in self._held]
            old = [one for over, one in held if over]
            self._held = [one for over, one in held if not over]
            fail(old, self._listener, status, reason, self.reason)
            count += len(old)
        return count

    # Ending

    def drain(self, deadline_ns: int) -> bool:
        """Block until nothing is in flight, at most until ``deadline_ns`` (local clock)."""
        while self.in_flight:
            if now_ns() >= deadline_ns:
                return False
            gevent.sleep(0.001)
        return True

    def give_up(self) -> int:
        """What is still in flight fails as NO_ANSWER (status -1). Returns how many."""
        return self._give_up(NO_ANSWER, "no answer when the drain ended", now_ns() + 1, end=True)

    def renew(self) -> None:
        """Replace connections that hold streams nobody waits for any more: they would take the slots of
        requests to come. ``connect`` waits for the successors."""
        spent = self._retiring + [c for c in self._current if c.expired]
        self._retiring, self._current = [], [c for c in self._current if not c.expired]
        self._left += spent
        for connection in spent:
            connection.finish()

    def close(self, drain_ns: int = 2 * NS_PER_S) -> None:
        """Drain for at most ``drain_ns``, then end every connection."""
        self._closed = True
        self._give_up_held()
        if self._dialler is not None:
            self._dialler.kill(block=False)
            self._dialler = None
        # Streams that were given up are open at the server still, and closing on them can crash it.
        deadline = now_ns() + drain_ns
        while any(connection.live for connection in self._all()) and now_ns() < deadline:
            gevent.sleep(0.001)
        if self._expiry is not None:
            self._expiry.stop()
            self._expiry.close()
            self._expiry = None
        for connection in self._all():
            connection.close("closed by the client")
