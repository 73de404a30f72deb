"""Closed loop: as many requests in flight as there are slots; an answer makes room for the next."""

from __future__ import annotations

import numpy as np

from triton_users.clock import now_ns
from triton_users.engine.lane import Outcomes
from triton_users.engine.leased import Leased
from triton_users.engine.requests import Numbered, Requests
from triton_users.net import Channel
from triton_users.stats.recorder import Recorder
from triton_users.step import Flow, Lease, Step


class Slots(Outcomes):
    """One slot per Locust user. Without a connection the slots wait; there are no instant failures."""

    def __init__(self, flow: Flow, requests: Requests, recorder: Recorder, seed: int) -> None:
        super().__init__(recorder)
        self.flow = flow
        self.channel: Channel
        self._requests = requests
        self._seed = seed
        self._slots = 0
        self._booked_ns: list[int] = []
        """When each request was scheduled that the recorder has not heard of."""
        self._leased = Leased(self._opened)

    @property
    def in_flight(self) -> int:
        return self.channel.in_flight

    @property
    def unfinished(self) -> int:
        return self.in_flight

    @property
    def occupied(self) -> int:
        return self.channel.occupied

    def begin(self, step: Step, t0_ns: int, worker: int) -> None:
        self._numbered = Numbered(self._requests, self._seed, f"{step.index}/{self.flow.name}/{worker}")
        self._leased.begin(t0_ns)

    def lease(self, lease: Lease) -> None:
        self._leased.add(lease)

    def _opened(self) -> None:
        self.room(0)

    def room(self, now: int) -> None:
        now, leased = now_ns(), self._leased
        if leased.from_ns <= now < leased.until_ns:
            sent = self.channel.fill(self._slots, self._numbered, now)
            if sent == 1:
                self._booked_ns.append(now)
            elif sent:
                self._booked_ns += [now] * sent

    def changed(self, connected: bool, reason: str) -> None:
        """The channel came back: the slots go on."""
        if connected:
            self.room(0)

    def stop(self, now: int) -> None:
        self._leased.stop()

    def settle(self) -> None:
        self.channel.give_up()

    def close(self) -> None:
        self._leased.close()

    def users(self, count: int) -> None:
        self._slots = count
        self.room(0)

    def account(self) -> None:
        """A whole range costs the fold a fraction of single requests."""
        if self._booked_ns:
            booked, self._booked_ns = self._booked_ns, []
            self.recorder.scheduled(np.array(booked, np.int64), self._numbered.taken())
