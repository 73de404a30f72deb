"""When the feed is to end: SIGTERM says that no more lines will come, and from then on time is short; another
one, that there is none."""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from types import FrameType

from triton_users.clock import Clock, now_ns
from triton_users.units import NS_PER_S

Sleep = Callable[[float], None]


class End:
    """``asked``: no more lines will come. ``deadline_ns``: when to give up what cannot be written; None
    until asked. ``drain_ns`` is the time between the two. ``hurried``: give up now what is not written."""

    def __init__(self, drain_ns: int, sleep: Sleep, clock: Clock = now_ns) -> None:
        self.asked = False
        self.hurried = False
        self.deadline_ns: int | None = None
        self.drain_s = drain_ns / NS_PER_S
        self._drain_ns = drain_ns
        self._sleep = sleep
        self._clock = clock

    def ask(self) -> None:
        """No more lines will come. Who asks again does not wait for those that are there."""
        self.hurried = self.asked
        self.deadline_ns = self._clock() + (0 if self.hurried else self._drain_ns)
        self.asked = True

    def extend(self) -> None:
        """A replay has as long as it gets on: its deadline begins anew."""
        if not self.hurried:
            self.deadline_ns = self._clock() + self._drain_ns

    @property
    def left_s(self) -> float | None:
        """Seconds up to the deadline, at least 0."""
        if self.deadline_ns is None:
            return None
        return max(self.deadline_ns - self._clock(), 0) / NS_PER_S

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the end is asked for or the deadline."""
        left = self.left_s
        self._sleep(seconds if left is None else min(seconds, left))


def signalled_sleep(on_signal: Callable[[], None]) -> Sleep:
    """A sleep that SIGTERM and SIGINT end early, having called ``on_signal``. For the main thread."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def handle(_number: int, _frame: FrameType | None) -> None:
        on_signal()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)

    def sleep(seconds: float) -> None:
        assert theirs.fileno() >= 0  # as long as someone sleeps: what it is told is kept for the next time
        if select.select([ours], [], [], max(seconds, 0.0))[0]:
            ours.recv(64)

    return sleep
