"""Work that can wait a little, done in the gaps of an open loop's schedule.

Folding, cutting, encoding, merging: pieces of half a millisecond, some twenty a second. Between Poisson
arrivals there are gaps as long as that, and a piece that falls into one delays nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from triton_users.units import NS_PER_MS

GAP_NS = 400_000
"""At 10,000 arrivals a second there are 180 such gaps in each; longer ones would have to be waited for."""
PATIENCE_NS = 20 * NS_PER_MS
"""So long at most a piece waits for a gap: where arrivals are denser, or constant, there is none."""

FAR = 1 << 62


class Spare:
    """Senders tell when their next arrival is due, others ask to have work done. All in the hub's thread; a
    piece runs in the hub, or at once in the greenlet that asks, and must not block."""

    def __init__(self) -> None:
        self._next: dict[object, int] = {}
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def ask(self, work: Callable[[], None], now: int) -> None:
        """Do ``work`` at once if nothing is due soon, else in the next gap."""
        if not self._waiting and self._is_gap(now):
            work()
        else:
            self._waiting.append((now + PATIENCE_NS, work))

    def next(self, sender: object, at_ns: int, now: int) -> None:
        """What was due has been sent; the sender's next arrival is ``at_ns``, FAR without one."""
        self._next[sender] = at_ns
        self._work(now)

    def leave(self, sender: object, now: int) -> None:
        """It sends nothing more."""
        self._next.pop(sender, None)
        self._work(now)

    def _work(self, now: int) -> None:
        waiting = self._waiting
        if waiting and waiting[0][0] <= now:
            waiting.popleft()[1]()
            now += GAP_NS
        while waiting and self._is_gap(now):
            waiting.popleft()[1]()
            now += GAP_NS  # about what it took

    def _is_gap(self, now: int) -> bool:
        """Whether no arrival is due soon; a sender that is overdue for long cannot be helped, or is gone."""
        return not any(-PATIENCE_NS < at_ns - now < GAP_NS for at_ns in self._next.values())


spare = Spare()
"""This process's."""
