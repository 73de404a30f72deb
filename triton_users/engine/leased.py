"""When a closed loop may send: the leases held, joined where they touch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from triton_users.clock import now_ns
from triton_users.net import Timer
from triton_users.step import Lease


class Leased:
    """Calls ``opened`` in the hub at the start of each span of time in which requests may be sent."""

    def __init__(self, opened: Callable[[], None]) -> None:
        self._opened = opened
        self._t0 = 0
        self.from_ns = self.until_ns = 0
        """The present span, or the next."""
        self._later: deque[tuple[int, int]] = deque()
        self._timer = Timer(self._reached)

    def begin(self, t0_ns: int) -> None:
        """A step starts at ``t0_ns`` (local clock); nothing is leased yet."""
        self.stop()
        self._t0 = t0_ns

    def add(self, lease: Lease) -> None:
        start, until = self._t0 + lease.from_ns, self._t0 + lease.until_ns
        now = now_ns()
        if self._later:
            last = self._later.pop()
            if start > last[1]:
                self._later += (last, (start, until))
            else:
                self._later.append((last[0], max(last[1], until)))
        elif start <= self.until_ns and now < self.until_ns:
            self.until_ns = max(self.until_ns, until)  # the load is running, or armed, already
        elif now < self.until_ns:
            self._later.append((start, until))
            self._timer.at(self.from_ns if now < self.from_ns else self.until_ns)
        else:
            self.from_ns, self.until_ns = start, until
            self._timer.at(start)

    def allows(self, now: int) -> bool:
        """Whether a request may be sent ``now``."""
        return self.from_ns <= now < self.until_ns

    def _reached(self) -> int | None:
        now = now_ns()
        if now >= self.until_ns and self._later:
            self.from_ns, self.until_ns = self._later.popleft()
        if now < self.from_ns:
            return self.from_ns
        self._opened()
        return self.until_ns if self._later else None

    def stop(self) -> None:
        """Nothing is allowed any more."""
        self._timer.stop()
        self.from_ns = self.until_ns = 0
        self._later.clear()

    def close(self) -> None:
        self.stop()
        self._timer.close()
