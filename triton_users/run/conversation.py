"""The master's side of the talk with all workers: hears them, grants leases, repeats what they lack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gevent.queue import Empty, Queue

from triton_users.clock import now_ns
from triton_users.run import protocol as p
from triton_users.run.pause import alone
from triton_users.run.roster import Roster
from triton_users.run.workers import Peer, Workers
from triton_users.stats.codec import decode as decode_window
from triton_users.stats.window import Window
from triton_users.step import Lease, Step
from triton_users.units import NS_PER_MS, NS_PER_S

ROUND_NS = NS_PER_S
"""Between two rounds of grants; each is answered by a Beat."""
ROUND_AT_NS = 900 * NS_PER_MS
"""Where rounds are in a second of the run: just before the windows are cut, so that these carry the answers,
and not while the windows are merged."""
DEAF_NS = 500 * NS_PER_MS
"""A pause of ours as long as this is not the workers' silence. Shorter ones end before the next round, even
when they hide the answers to the last, which come 0.1 to 0.4 s after it."""


@dataclass(slots=True)
class Leading:
    """The step under way: what a worker must be told of it. ``t0_ns`` is None until the start is fixed."""

    step: Step
    t0_ns: int | None = None
    roster: Roster | None = None
    over_ns: int | None = None
    """When it ended, on the run's axis."""
    hurried: bool = False
    """Nobody wants to wait for answers any longer."""


@dataclass(slots=True)
class Conversation:
    """``start_for`` makes the RunStart for a worker; ``on_window`` gets every window, ``on_join`` hears of
    workers that take part in a step; ``pause`` is called between pieces of work."""

    run: str
    zero_ns: int
    workers: Workers
    start_for: Callable[[Peer], p.RunStart]
    on_window: Callable[[Window], None]
    on_join: Callable[[Peer], None]
    pause: Callable[[], None] = alone
    inbox: Queue[tuple[str, bytes, int]] = field(default_factory=Queue)
    """Locust's id of a worker, what it said, and when that came (ns, our clock): it may have to wait here."""
    leading: Leading | None = None
    _next_round_ns: int = 0
    """The next round, on our clock."""
    _back_at: int = field(default_factory=now_ns)
    """When this was to be listening again at the latest, on our clock."""

    @property
    def now(self) -> int:
        """On the run's axis."""
        return now_ns() - self.zero_ns

    def here(self) -> list[Peer]:
        """Workers that can be counted on now."""
        return self.workers.here(now_ns())

    def listen(self, seconds: float) -> None:
        """Handle what workers say for so long, and keep the rounds going."""
        deadline = now_ns() + int(seconds * NS_PER_S)
        while True:
            now = now_ns()
            if now - self._back_at > DEAF_NS:
                self.workers.deaf(now - self._back_at)
            self._back_at = now
            if now >= self._next_round_ns:
                self._next_round_ns = self.zero_ns + next_round(now - self.zero_ns)
                self._round()
            if now >= deadline:
                return
            wait = max(min(deadline, self._next_round_ns) - now, 0)
            self._back_at = now + wait
            try:
                node, packed, came_ns = self.inbox.get(timeout=wait / NS_PER_S)
            except Empty:
                continue
            peer = self.workers.peers.get(node)
            if peer is not None:
                for message in p.decode(packed):
                    self._hear(peer, message, came_ns)

    def soon(self) -> None:
        """Have a round at once; the others are when they would have been."""
        self._next_round_ns = 0

    def _hear(self, peer: Peer, message: Any, came_ns: int) -> None:
        peer.heard_ns = now_ns()
        match message:
            case p.Hello():
                self._greet(peer)
            case p.Beat():
                peer.clock.add(message.sent_ns, message.at_ns, came_ns, message.held_ns)
                # It answered so long after our word had come, which was later than we sent it.
                peer.alive_ns = max(peer.alive_ns, message.sent_ns + message.held_ns)
                before, peer.beat = peer.beat, message
                if (before.run, before.begun) != (message.run, message.begun):
                    self._greet(peer)
            case p.Ready(self.run):
                peer.ready = message
                self._greet(peer)
            case p.Done(self.run):
                peer.done = message
            case p.WindowSent(self.run, _, packed):
                window = decode_window(packed)
                self.pause()
                self.on_window(window)

    def acknowledge(self, number: int, seq: int) -> None:
        """A window of worker ``number`` is on disk: told with the next grant."""
        peer = self.workers.peers.get(self.workers.nodes[number])
        if peer is not None:
            peer.acks.append(seq)

    # Rounds

    def _round(self) -> None:
        self.workers.turn_away()
        self.workers.welcome()
        leases = self._leases()
        caps = shares(self.leading.step.max_in_flight, leases) if self.leading is not None else {}
        for peer in list(self.workers.peers.values()):
            self._catch_up(peer)
            lease = leases.get(peer.number)
            mine = () if lease is None else (lease,)
            acks, peer.acks = tuple(peer.acks), []
            self.workers.send(p.Grant(mine, now_ns(), caps.get(peer.number, 0), acks), peer.node)

    def _greet(self, peer: Peer) -> None:
        """What it lacks, at once: a joiner need not wait for rounds, but with its first lease."""
        self._catch_up(peer)
        self.workers.send(p.Grant((), now_ns()), peer.node)

    def _leases(self) -> dict[int, Lease]:
        leading = self.leading
        if leading is None or leading.t0_ns is None or leading.roster is None or leading.over_ns is not None:
            return {}
        for peer in self.here():
            if peer.beat.begun == leading.step.index and not peer.is_done(leading.step.index):
                leading.roster.heard(peer.number, peer.alive_ns - self.zero_ns - leading.t0_ns)
            elif peer.is_done(leading.step.index):
                leading.roster.gone(peer.number)
        return dict(leading.roster.grant(self.now - leading.t0_ns))

    def _catch_up(self, peer: Peer) -> None:
        """Say again what the worker's last beat shows that it lacks."""
        if peer.beat.run != self.run:
            self.workers.send(self.start_for(peer), peer.node)
            return
        leading = self.leading
        if leading is None or leading.over_ns is not None:
            return
        step = leading.step
        if peer.ready is None or peer.ready.step != step.index:
            self.workers.send(p.StepPrepare(step), peer.node)
        elif peer.ready.error is None and leading.t0_ns is not None and peer.beat.begun != step.index:
            self.begin(peer)

    def begin(self, peer: Peer) -> None:
        """Tell a prepared worker when the step starts, on its own clock."""
        leading = self.leading
        assert leading is not None and leading.t0_ns is not None
        if not peer.clock.known or peer.is_done(leading.step.index):
            return
        self.on_join(peer)
        if peer.begin is None or peer.begin.step != leading.step.index:
            peer.used_offset_ns = peer.clock.offset_ns
            zero = self.zero_ns + peer.used_offset_ns
            # Until its first lease, which brings its exact share.
            cap = max(leading.step.max_in_flight // len(self.workers.peers), 1)
            peer.begin = p.StepBegin(leading.step.index, leading.t0_ns, zero, cap)
        self.workers.send(peer.begin, peer.node)

    def end_step(self, owing: Mapping[str, tuple[int, ...]]) -> None:
        """Have workers (by Locust's id) stop and answer Done, and send again the windows that are missing."""
        leading = self.leading
        assert leading is not None and leading.over_ns is not None
        step = leading.step
        drain_ns = 0 if leading.hurried else step.drain_ns
        for node, missing in owing.items():
            self.workers.send(p.StepEnd(step.index, drain_ns, leading.over_ns, missing), node)


def next_round(now: int) -> int:
    """The first round after ``now``, on the run's axis."""
    return now + ROUND_NS - (now - ROUND_AT_NS) % ROUND_NS


def shares(cap: int, numbers: Collection[int]) -> dict[int, int]:
    """Each worker's part of the run's in-flight cap, at least 1."""
    count = max(len(numbers), 1)
    return {
        number: max(cap // count + (place < cap % count), 1) for place, number in enumerate(sorted(numbers))
    }
