"""Which windows of each worker have come, by their sequence numbers."""

from __future__ import annotations

FIRST = 0
"""The number of a worker's first window of a run."""


class Sequences:
    """Numbers without gaps are kept as one bound, so an undisturbed run takes no memory."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}  # all numbers below have come
        self._ahead: dict[int, set[int]] = {}
        self._end: dict[int, int] = {}  # one past the highest number known to exist

    def add(self, worker: int, seq: int) -> bool:
        """Note a window; False when it was there before."""
        if self.known(worker, seq):
            return False
        ahead = self._ahead.setdefault(worker, set())
        ahead.add(seq)
        following = self._next.setdefault(worker, FIRST)
        while following in ahead:
            ahead.remove(following)
            following += 1
        self._next[worker] = following
        self._end[worker] = max(self.end(worker), seq + 1)
        return True

    def known(self, worker: int, seq: int) -> bool:
        """Whether this window has come."""
        return seq < self._next.get(worker, FIRST) or seq in self._ahead.get(worker, ())

    def last(self, worker: int, seq: int) -> None:
        """The worker says that ``seq`` is its last window so far."""
        self._end[worker] = max(self.end(worker), seq + 1)

    def end(self, worker: int) -> int:
        """One past the highest number known to exist."""
        return self._end.get(worker, FIRST)

    def missing(self, worker: int, since: int = FIRST) -> list[int]:
        """The numbers from ``since`` on that should have come and have not."""
        ahead = self._ahead.get(worker, set())
        start = max(since, self._next.get(worker, FIRST))
        return [seq for seq in range(start, self.end(worker)) if seq not in ahead]

    def workers(self) -> list[int]:
        return sorted(self._end)
