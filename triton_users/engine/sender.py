"""Open loop: every arrival of the schedule is sent at its instant, whatever the server does."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triton_users.clock import now_ns
from triton_users.engine.gaps import FAR, spare
from triton_users.engine.lane import OVERDUE_NS, Outcomes
from triton_users.engine.requests import Drawn, Tags
from triton_users.net import Channel, Timer
from triton_users.schedule import Schedule
from triton_users.stats.recorder import Recorder
from triton_users.step import Flow, Lease, Step
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Encoded

SPAN = 2500
SPAN_NS = 250 * NS_PER_MS
"""Arrivals are drawn for about so many at a time, and at most so long: half a millisecond, most of it for
code that has left the processor's caches, so that few large draws delay the fewest."""
CHUNK_NS = 20 * NS_PER_MS
"""They are made ready in pieces this long, some 20 µs each, and as long before they are needed."""
AT_ONCE = 3
"""How often a turn of the loop looks for arrivals that have come due (lag p50 at 10,000/s: 34 -> 29 µs)."""


@dataclass(slots=True)
class Chunk:
    """Arrivals made ready: instants on the local clock, requests and tags, in order."""

    times: list[int]
    items: list[Encoded]
    times_array: npt.NDArray[np.int64]
    tags: Tags


Draw = Callable[[npt.NDArray[np.float64]], Drawn]
"""Requests for numbers in [0, 1)."""


class Arrivals:
    """The owned part of a schedule within the leases held, made ready a little ahead. ``rate`` is the
    schedule's, in requests per second."""

    def __init__(self, schedule: Schedule, draw: Draw, t0_ns: int, rate: float) -> None:
        self._schedule, self._draw, self._t0 = schedule, draw, t0_ns
        self._span_ns = min(SPAN_NS, max(int(SPAN / rate * NS_PER_S), CHUNK_NS))
        self._leases: deque[Lease] = deque()
        self._drawn_to = 0
        self._spans: deque[tuple[npt.NDArray[np.int64], Drawn]] = deque()
        self._at = 0
        self.ready_until_ns = 0

    def lease(self, lease: Lease) -> None:
        self._leases.append(lease)

    def wanting(self, now: int) -> bool:
        """Whether it is time to draw more."""
        return bool(self._leases) and self._t0 + self._drawn_to - now < self._span_ns

    def draw(self) -> None:
        """Draw the arrivals of the next part of the leases."""
        if not self._leases:
            return
        lease = self._leases[0]
        start = max(self._drawn_to, lease.from_ns)
        end = min(start + self._span_ns, lease.until_ns)
        if end >= lease.until_ns:
            self._leases.popleft()
        if end > start:
            self._drawn_to = end
            found = self._schedule.arrivals(start, end, lease.k, lease.n)
            if len(found.offset_ns):
                self._spans.append((found.offset_ns + self._t0, self._draw(found.pick)))

    def next(self) -> Chunk | None:
        """The next piece that holds arrivals, or None until there is another lease."""
        while not self._spans:
            if not self._leases:
                return None
            self.draw()
        times, drawn = self._spans[0]
        start = self._at
        self._at = end = int(np.searchsorted(times, times[start] + CHUNK_NS))
        if end < len(times):
            self.ready_until_ns = int(times[end])
        else:
            self._spans.popleft()
            self._at = 0
            self.ready_until_ns = int(self._spans[0][0][0]) if self._spans else self._t0 + self._drawn_to
        piece = times[start:end]
        return Chunk(piece.tolist(), drawn.items(start, end), piece, drawn.tags[start:end])


class Sender(Outcomes):
    """Sends what is due in one go and books what the cap, the connection or a freeze kept from being sent.

    ``room_for`` tells how many more requests the worker's share of the run's in-flight cap has room for.
    """

    def __init__(
        self, flow: Flow, draw: Draw, recorder: Recorder, seed: int, room_for: Callable[[], int]
    ) -> None:
        super().__init__(recorder)
        self.flow = flow
        self.channel: Channel
        self._draw, self._seed = draw, seed
        self._room_for = room_for
        self._timer = Timer(self._due)
        self._chunk: Chunk | None = None
        self._following: Chunk | None = None
        self._at = self._booked = 0
        self._asked = False

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
        assert self.flow.rate is not None
        stream = f"{step.index}/{self.flow.name}"
        schedule = Schedule(self.flow.process, self.flow.rate, self._seed, stream)
        self._arrivals = Arrivals(schedule, self._draw, t0_ns, self.flow.rate)
        self._chunk = self._following = None
        self._at = self._booked = 0
        self._asked = False

    def lease(self, lease: Lease) -> None:
        self._arrivals.lease(lease)
        if self._chunk is None and (chunk := self._advance()) is not None:
            self._timer.at(chunk.times[0])

    def _advance(self) -> Chunk | None:
        """Go on to the next piece; None when there is none."""
        self.account()
        self._chunk, self._following = self._following or self._arrivals.next(), None
        self._at = self._booked = 0
        return self._chunk

    def _due(self) -> int | None:
        # Sending takes as long as many a gap: what has come due meanwhile saves a turn of the loop. Not more
        # often, since answers wait for the loop.
        when: int | None = 0
        for _ in range(AT_ONCE):
            now = now_ns()
            if when is None or when > now:
                break
            when = self._send_due(now)
        spare.next(self, FAR if when is None else when, now)
        return when

    def _send_due(self, now: int) -> int | None:
        """Send what is due ``now``; when the next arrival is."""
        while (chunk := self._chunk) is not None:
            start = self._at
            end = bisect_right(chunk.times, now, start)
            if end > start:
                self._at = end
                self._launch(chunk, start, end, now)
            if end < len(chunk.times):
                if self._following is None and self._arrivals.ready_until_ns - now < CHUNK_NS:
                    self._following = self._arrivals.next()
                elif not self._asked and self._arrivals.wanting(now):
                    self._asked = True
                    spare.ask(self._draw_more, now)
                return chunk.times[end]
            self._advance()
        return None

    def _draw_more(self) -> None:
        self._asked = False
        self._arrivals.draw()

    def _launch(self, chunk: Chunk, start: int, end: int, now: int) -> None:
        times, tags = chunk.times, chunk.tags
        if now - times[start] > OVERDUE_NS:
            missed = bisect_left(times, now - OVERDUE_NS, start, end)
            self.recorder.lost(chunk.times_array[start:missed], tags[start:missed])
            start = missed
        fitting = min(start + max(self._room_for(), 0), end)
        if fitting < end:
            self.recorder.dropped(chunk.times_array[fitting:end], tags[fitting:end])
        if fitting > start:
            self._send(chunk, start, fitting, now)

    def _send(self, chunk: Chunk, start: int, end: int, now: int) -> None:
        if end == start + 1:
            item, time = chunk.items[start], chunk.times[start]
            if not self.channel.send_one(item, time, now):
                self.refuse([(time, 0, item.tag)], self.channel.reason, now)
            return
        times, items = chunk.times[start:end], chunk.items[start:end]
        if not self.channel.send(items, times, now):
            self.refuse([(t, 0, i.tag) for t, i in zip(times, items, strict=True)], self.channel.reason, now)

    def changed(self, connected: bool, reason: str) -> None:
        """The schedule goes on with or without a connection."""

    def account(self) -> None:
        """Whole ranges cost the fold a tenth of single arrivals."""
        chunk = self._chunk
        if chunk is not None and self._at > self._booked:
            span = slice(self._booked, self._at)
            self.recorder.scheduled(chunk.times_array[span], chunk.tags[span])
            self._booked = self._at

    def stop(self, now: int) -> None:
        self._timer.stop()
        spare.leave(self, now)
        self._send_due(now - 1)
        self.account()
        self._chunk = self._following = None

    def settle(self) -> None:
        self.channel.give_up()

    def close(self) -> None:
        self._timer.close()

    def users(self, count: int) -> None:
        """An open loop's rate does not depend on users."""
