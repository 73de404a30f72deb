"""Users with tasks of their own: their infer() calls, in closed loop and under a rate.

Closed loop: every user runs its tasks one after the other while the step lasts. Under a rate an arrival
starts one task run of an idle user; its first request takes the arrival's time, later ones count as
scheduled when they are sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import gevent
import numpy as np
import numpy.typing as npt

from triton_users.clock import now_ns
from triton_users.engine.lane import OVERDUE_NS, failure_name, text
from triton_users.engine.leased import Leased
from triton_users.engine.member import Member, Waiter
from triton_users.engine.requests import Drawn, infer_head
from triton_users.engine.sender import Chunk, Sender
from triton_users.net import Call, RpcError
from triton_users.stats.recorder import Recorder
from triton_users.step import CLOSED, UNKNOWN_CLASS, Flow, Lease, RequestClass, Step
from triton_users.units import NS_PER_S
from triton_users.wire import Head, encode

MOST_TAGS = 4096


class TaskCall(Call):
    """One infer() of a user, booked in the hub at the instant at which it ends."""

    __slots__ = ("arrival_ns", "limited", "pool", "tag")

    def __init__(self, pool: Pool, arrival_ns: int, tag: int, *, limited: bool) -> None:
        super().__init__()
        self.pool, self.arrival_ns, self.tag = pool, arrival_ns, tag
        self.limited = limited
        """The run's own timeout holds, not one of the call's."""

    def expires(self, end: bool) -> bool:
        return end or self.limited

    def finish(self, status: int, data: bytes, now_ns: int) -> None:
        self.pool.calls -= 1
        ticket = (self.arrival_ns, self.sent_ns, self.tag)
        if status == 0:
            self.pool.recorder.done([ticket], now_ns)
        else:
            sent = bool(self.sent_ns)
            self.pool.recorder.failed(ticket, failure_name(status), text(data), now_ns, sent=sent)
        super().finish(status, data, now_ns)


class Pool(Sender):
    """The lane of a flow whose users call infer() themselves. It outlives steps, as its users do: between
    steps they wait here, and nothing is in flight."""

    def __init__(self, user_class: str) -> None:
        self.user_class = user_class
        self.calls = 0
        """Requests scheduled and not ended."""
        self._idle: deque[Waiter] = deque()
        self._gate: deque[Waiter] = deque()
        self._serving: set[Member] = set()
        self._noted_ns: list[int] = []
        self._noted_tags: list[int] = []
        """Requests scheduled that the recorder has not heard of, by arrival and tag."""
        self._unplanned_ns: list[int] = []
        """Those of them that no arrival of the schedule stands for."""
        self._t0 = 0
        self._users = 0
        self._closed_loop = True
        self._open = False
        self._leased = Leased(self._open_gate)

    def attach(
        self, flow: Flow, recorder: Recorder, seed: int, room_for: Callable[[], int], timeout_ns: int | None
    ) -> None:
        """Serve ``flow`` from the next step on. ``timeout_ns`` is every request's deadline, None for none."""
        super().__init__(flow, self._unclassed, recorder, seed, room_for)
        self._unknown = recorder.tag(flow.name, UNKNOWN_CLASS)
        self._tags: dict[int, tuple[RequestClass, int]] = {}
        """By identity of a class, since hashing one costs more than the rest: itself, and its tag."""
        self._head = infer_head(timeout_ns)
        self._closed_loop = flow.process == CLOSED

    @property
    def under_rate(self) -> bool:
        return not self._closed_loop

    def _unclassed(self, numbers: npt.NDArray[np.float64]) -> Drawn:
        return Drawn((), np.empty(0, np.intp), np.full(len(numbers), self._unknown, dtype=np.int64))

    @property
    def in_flight(self) -> int:
        return self.calls

    @property
    def unfinished(self) -> int:
        return self.calls + len(self._serving)

    @property
    def occupied(self) -> int:
        return self.unfinished + self.channel.given_up

    # The step

    def begin(self, step: Step, t0_ns: int, worker: int) -> None:
        self._t0 = t0_ns
        self._leased.begin(t0_ns)
        self._open = True
        if not self._closed_loop:
            super().begin(step, t0_ns, worker)
        # Those who wait find out what this step asks of them.
        waiting = (*self._idle, *self._gate)
        self._idle.clear()
        self._gate.clear()
        for waiter in waiting:
            waiter.resume()

    def lease(self, lease: Lease) -> None:
        self._leased.add(lease)
        if not self._closed_loop:
            super().lease(lease)

    def _open_gate(self) -> None:
        waiting, self._gate = self._gate, deque()
        for waiter in waiting:
            waiter.resume()

    def changed(self, connected: bool, reason: str) -> None:
        if connected:
            self._open_gate()

    def room(self, now: int) -> None:
        """A stream whose request was given up may have been what a user waits for."""
        if self._gate:
            self._open_gate()

    def users(self, count: int) -> None:
        self._users = count
        self._open_gate()

    def stop(self, now: int) -> None:
        super().stop(now)
        self._leased.stop()

    def settle(self) -> None:
        super().settle()
        self._open = False
        for member in list(self._serving):
            self._fruitless(member)

    def account(self) -> None:
        """Noted one by one, when the class of a request shows."""
        if self._noted_ns:
            tags = np.array(self._noted_tags, np.int64)
            self.recorder.scheduled(np.array(self._noted_ns, np.int64), tags)
            self._noted_ns, self._noted_tags = [], []
        if self._unplanned_ns:
            self.recorder.unplanned(self.flow.name, np.array(self._unplanned_ns, np.int64))
            self._unplanned_ns = []

    def _note(self, arrival_ns: int, tag: int) -> None:
        self._noted_ns.append(arrival_ns)
        self._noted_tags.append(tag)

    # A user's turn

    def turn(self, member: Member) -> None:
        """Before a task: in closed loop the user waits for the step, under a rate for an arrival."""
        while not (self._closed_loop and self._may_send()):
            self._await(self._gate if self._closed_loop else self._idle, member)
            if member.arrival_ns:
                return

    def turn_over(self, member: Member) -> None:
        """After a task: an arrival that made no request, and has promised none, has failed."""
        if member.arrival_ns and not member.promised:
            self._fruitless(member)

    def promise(self, member: Member) -> None:
        """The task's request is about to be made by another greenlet (async_infer)."""
        member.promised = bool(member.arrival_ns)
        member.made_request = True

    def _fruitless(self, member: Member) -> None:
        arrival, member.arrival_ns, member.promised = member.arrival_ns, 0, False
        self._serving.discard(member)
        if arrival:
            self._note(arrival, self._unknown)
            message = "the task ended without a request"
            self.recorder.failed((arrival, 0, self._unknown), "NO_REQUEST", message, now_ns(), sent=False)

    def _await(self, queue: deque[Waiter], member: Member) -> None:
        waiter = Waiter(member)
        queue.append(waiter)
        try:
            waiter.wait()
        except BaseException:
            if waiter in queue:
                queue.remove(waiter)
            self._fruitless(member)  # killed after an arrival was given to it
            raise

    def _may_send(self) -> bool:
        if not self._closed_loop:
            return self._open and self._t0 <= now_ns()
        if not (self._leased.allows(now_ns()) and self.channel.ready):
            return False
        given_up = self.channel.given_up
        # The stream of a request that was given up holds its user's slot until it ends.
        return not given_up or self.calls + given_up < self._users

    def _launch(self, chunk: Chunk, start: int, end: int, now: int) -> None:
        for at in range(start, end):
            arrival = chunk.times[at]
            span = slice(at, at + 1)
            if now - arrival > OVERDUE_NS:
                self.recorder.scheduled(chunk.times_array[span], chunk.tags[span])
                self.recorder.lost(chunk.times_array[span], chunk.tags[span])
            elif not self._idle or self._room_for() <= 0:
                self.recorder.scheduled(chunk.times_array[span], chunk.tags[span])
                self.recorder.dropped(chunk.times_array[span], chunk.tags[span])
            else:
                waiter = self._idle.popleft()
                waiter.member.arrival_ns = arrival
                self._serving.add(waiter.member)
                waiter.resume()

    # infer()

    def infer(
        self,
        member: Member,
        message: bytes,
        cls: RequestClass,
        headers: tuple[tuple[bytes, bytes], ...],
        timeout_ns: int | None,
    ) -> bytes:
        """Send one request of ``member``'s task and wait for the answer's bytes. Raises RpcError."""
        while not self._may_send():
            self._await(self._gate, member)
        arrival, member.arrival_ns, member.promised = member.arrival_ns, 0, False
        member.made_request = True
        self._serving.discard(member)
        known = self._tags.get(id(cls))
        if known is None:
            if len(self._tags) >= MOST_TAGS:
                self._tags.clear()
            known = self._tags[id(cls)] = cls, self.recorder.tag(self.flow.name, cls)
        tag = known[1]
        head = self._head if not headers and not timeout_ns else infer_head(timeout_ns, headers)
        return self._exchange(arrival, tag, head, message, timeout_ns)

    def _exchange(self, arrival: int, tag: int, head: Head, message: bytes, timeout_ns: int | None) -> bytes:
        request = encode(head, message, tag)
        now = now_ns()
        call = TaskCall(self, arrival or now, tag, limited=timeout_ns is None)
        self._note(call.arrival_ns, tag)
        if not arrival and not self._closed_loop:
            self._unplanned_ns.append(now)
        self.calls += 1
        try:
            self.channel.send_call(request, call, now)
        except RpcError as error:
            self.calls -= 1
            self.recorder.failed((call.arrival_ns, 0, tag), error.status, error.message, now, sent=False)
            raise
        try:
            if timeout_ns is None:
                return call.wait()
            with gevent.Timeout(timeout_ns / NS_PER_S, RpcError("DEADLINE_EXCEEDED", "no answer in time")):
                return call.wait()
        except RpcError:
            self._abandon(call, "DEADLINE_EXCEEDED", "no answer within the call's own time")
            raise
        except gevent.GreenletExit:
            raise  # the user goes; the request stays, and is booked when it is answered
        except BaseException:
            self._abandon(call, "CANCELLED", "the task stopped waiting for it")
            raise

    def _abandon(self, call: TaskCall, status: str, message: str) -> None:
        if not call.ended:
            self.channel.forget(call)
            self.calls -= 1
            ticket = (call.arrival_ns, call.sent_ns, call.tag)
            self.recorder.failed(ticket, status, message, now_ns())
