"""A user's place in the load, and the greenlets of it that wait for their turn."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import getcurrent

from triton_users.net import in_hub


class Waiter:
    """One greenlet of a member that waits; a user has several when it calls async_infer."""

    __slots__ = ("_greenlet", "_waiting", "member")

    def __init__(self, member: Member) -> None:
        self.member = member
        self._greenlet: Any = getcurrent()
        self._waiting = False

    def wait(self) -> None:
        """Block until somebody resumes it; a kill passes through."""
        self._waiting = True
        self.member.waiters += 1
        try:
            gevent.get_hub().switch()
        finally:
            self._waiting = False
            self.member.waiters -= 1

    def resume(self) -> None:
        in_hub(self._go_on)

    def _go_on(self) -> None:
        if self._waiting:
            self._greenlet.switch()


class Member:
    """One user's place in the pool, and the arrival it is serving."""

    __slots__ = ("arrival_ns", "made_request", "promised", "waiters")

    def __init__(self) -> None:
        self.arrival_ns = 0
        self.made_request = False
        self.promised = False
        """Another greenlet of the user is about to make the arrival's request."""
        self.waiters = 0

    @property
    def waiting(self) -> bool:
        """For a turn, or for nothing: there is no request to finish."""
        return self.waiters > 0

    def wait(self) -> None:
        """Block for good: a user without tasks only holds a slot."""
        Waiter(self).wait()
