"""The feed: follows a spool and writes its points, until the end is asked for and all is written.

A batch is written, or refused for good and kept, before the next is read. So a database that is away costs
no memory, and nothing is forgotten: what waits is in the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from triton_users.clock import Clock, now_ns
from triton_users.sinks.feed_backoff import Backoff
from triton_users.sinks.feed_batches import Batch, Batches
from triton_users.sinks.feed_end import End
from triton_users.sinks.feed_rejected import Rejected
from triton_users.sinks.feed_status import FeedStatus
from triton_users.sinks.influx_answer import Answer, Refused, Unavailable

POLL_S = 0.2
TIMEOUT_S = 10.0
LEAST_TIMEOUT_S = 0.5


class Writer(Protocol):
    """What the feed needs of a database."""

    def write(self, lines: Sequence[str], timeout_s: float) -> Answer:
        """Write these points within ``timeout_s``; None: they are written. Never raises."""


class Feed:
    """``tell`` is called with the status whenever it has changed. ``patient``: the deadline counts from the
    last success, not from the end being asked for."""

    def __init__(
        self,
        batches: Batches,
        writer: Writer,
        rejected: Rejected,
        end: End,
        tell: Callable[[FeedStatus], None],
        *,
        patient: bool = False,
        clock: Clock = now_ns,
    ) -> None:
        self.status = FeedStatus()
        self._batches = batches
        self._writer = writer
        self._rejected = rejected
        self._end = end
        self._tell = tell
        self._patient = patient
        self._clock = clock
        self._backoff = Backoff()

    def run(self) -> bool:
        """Whether all that the spool holds is written, or refused for good; False also where there is no time
        for that any more. Raises ResultsError if the spool cannot be read."""
        self.status.started = True
        self._tell(self.status)
        while True:
            last = self._end.asked  # before reading: lines that came before it are in what is read now
            batch = self._batches.next()
            if not batch.lines:
                if last:
                    return True
                self._end.wait(POLL_S)
            elif not self._deliver(batch):
                return False

    def _deliver(self, batch: Batch) -> bool:
        for reason in batch.unreadable:
            self._give_up([""], 0, reason)
            self.status.unreadable += 1
        parts = [batch.points] if batch.points else []
        while parts:
            if self._end.hurried:
                return False
            part = parts.pop()
            match self._writer.write(part, self._timeout_s()):
                case None:
                    self._written(len(part))
                case Refused() as refused:
                    parts += self._refused(part, refused)
                case Unavailable() as unavailable:
                    parts.append(part)
                    if not self._wait(unavailable):
                        return False
        self.status.lines += batch.lines
        self._tell(self.status)
        return True

    def _timeout_s(self) -> float:
        """A request must not outlast the time that the end leaves, also where that begins during it."""
        most = min(TIMEOUT_S, max(self._end.drain_s / 2, LEAST_TIMEOUT_S))
        left = self._end.left_s
        return most if left is None else min(max(left, LEAST_TIMEOUT_S), most)

    def _written(self, points: int) -> None:
        self.status.points += points
        self._answered()

    def _answered(self) -> None:
        self.status.well()
        self._backoff.reset()
        if self._patient:
            self._end.extend()

    def _refused(self, part: list[str], refused: Refused) -> list[list[str]]:
        """The parts to try again: halves, until those that are refused stand alone. The others among them
        may be written already; writing them again changes nothing."""
        self._answered()
        if len(part) == 1 or (refused.dropped == len(part) and not refused.too_large):
            self._give_up(part, refused.status, refused.reason)
            self.status.rejected += len(part)
            self.status.rejected_reason = refused.reason
            return []
        middle = len(part) // 2
        return [part[middle:], part[:middle]]

    def _give_up(self, points: list[str], status: int, reason: str) -> None:
        self._rejected.keep(points, status, reason)
        self.status.unkept = self._rejected.lost

    def _wait(self, unavailable: Unavailable) -> bool:
        """Whether to try again; returns when it is time to."""
        self.status.failing(unavailable.reason, self._clock())
        self._tell(self.status)
        left = self._end.left_s
        if left is not None and (unavailable.settings or left <= 0):
            return False
        self._end.wait(self._backoff.delay_s(unavailable.after_s))
        return True
