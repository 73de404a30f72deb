"""The workers as the master sees them: who is there, what they said last, and how to speak to them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from triton_users.run import protocol as p
from triton_users.timesync import ClockSync
from triton_users.units import NS_PER_S

Send = Callable[[bytes, str | None], None]
"""(packed message, Locust's id of the worker, None for all)."""

GONE_NS = 4 * NS_PER_S
"""A worker not heard of for this long is not waited for."""

NOTHING = p.Beat(0, 0, "", -1, -1)


@dataclass(slots=True)
class Peer:
    """One worker. ``number`` is ours, in the order of hello; ``node`` is Locust's id. Times: the master's."""

    node: str
    number: int
    hello: p.Hello
    heard_ns: int
    alive_ns: int
    """The latest time at which it must have been alive: a word that has just come may have been late."""
    clock: ClockSync = field(default_factory=ClockSync)
    beat: p.Beat = NOTHING
    ready: p.Ready | None = None
    done: p.Done | None = None
    begin: p.StepBegin | None = None
    """As it was told last."""
    acks: list[int] = field(default_factory=list)
    """Windows of which it has yet to be told that they are on disk."""
    used_offset_ns: int = 0
    """Of its clock, as it was told for the step under way."""

    @property
    def name(self) -> str:
        return f"worker {self.number} ({self.hello.host}, pid {self.hello.pid})"

    @property
    def clock_error_ns(self) -> int | None:
        """How far its arrivals may be from the run's axis: what is not known of its clock, and what that has
        drifted since the step began."""
        unsure = self.clock.uncertainty_ns
        return None if unsure is None else unsure + abs(self.clock.offset_ns - self.used_offset_ns)

    def is_ready(self, step: int) -> bool:
        return self.ready is not None and self.ready.step == step and self.ready.error is None

    def fault(self, step: int) -> str | None:
        """Why it cannot take part in the step, as it says."""
        return self.ready.error if self.ready is not None and self.ready.step == step else None

    def is_done(self, step: int) -> bool:
        return self.done is not None and self.done.step == step


@dataclass(slots=True)
class Workers:
    """All workers that said hello. ``members`` asks Locust which ids are there."""

    send_packed: Send
    members: Callable[[], Collection[str]]
    peers: dict[str, Peer] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Why a worker may not take part, by Locust's id."""
    nodes: list[str] = field(default_factory=list)
    """Locust's ids by our numbers."""
    away: dict[str, Peer] = field(default_factory=dict)
    """Those that were not there when the run began, by Locust's id: who is known says no other hello."""

    def knows(self, node: str) -> bool:
        """Whether this one has said hello, whatever came of it."""
        return node in self.peers or node in self.away or node in self.refused

    def hello(self, node: str, hello: p.Hello, now: int, expected: p.Hello) -> Peer | None:
        """A worker introduces itself; None when it would not make the same schedule or load."""
        problem = mismatch(hello, expected)
        if problem is not None:
            self.refused[node] = f"{hello.host} (pid {hello.pid}) {problem}"
            return None
        peer = Peer(node, len(self.nodes), hello, now, now)
        self.nodes.append(node)
        self.peers[node] = peer
        return peer

    def new_run(self, now: int) -> None:
        """What workers said of the last run's steps, which had the same numbers, counts no more; nor do those
        that are gone. Nobody has listened to the others since, so none has been silent."""
        self.away |= self.peers
        for peer in self.away.values():
            peer.beat, peer.ready, peer.done, peer.begin = NOTHING, None, None, None
            peer.heard_ns = peer.alive_ns = now
            peer.acks.clear()
        self.peers = {}
        self.welcome()

    def welcome(self) -> None:
        """Those that were away and are there again count as before."""
        if self.away:
            for node in self.away.keys() & set(self.members()):
                self.peers[node] = self.away.pop(node)

    def refuse(self, peer: Peer, why: str) -> None:
        """It may not go on taking part."""
        self.refused[peer.node] = why
        del self.peers[peer.node]

    def turn_away(self) -> None:
        """Have those that were refused end. Not before it is said why: Locust would forget them."""
        if self.refused:
            for node in self.refused.keys() & set(self.members()):
                self.send(p.Refused(self.refused[node]), node)

    def deaf(self, span_ns: int) -> None:
        """For so long nobody has listened: that is no silence of theirs."""
        for peer in self.peers.values():
            peer.heard_ns += span_ns
            peer.alive_ns += span_ns

    def send(self, message: Any, node: str) -> None:
        """To one worker."""
        self.send_packed(p.encode(message), node)

    def send_all(self, message: Any) -> None:
        """To every worker that said hello."""
        packed = p.encode(message)
        for node in self.peers:
            self.send_packed(packed, node)

    def here(self, now: int) -> list[Peer]:
        """Workers that are there: heard of lately, and not gone as far as Locust knows."""
        members = set(self.members())
        return [
            peer for peer in self.peers.values() if now - peer.heard_ns < GONE_NS and peer.node in members
        ]


def mismatch(hello: p.Hello, expected: p.Hello) -> str | None:
    """What keeps a worker from taking part, in words; ``expected`` is the master's own hello."""
    if hello.version != expected.version:
        return f"runs triton-users {hello.version}, the master {expected.version}: install the same on both"
    if hello.fingerprint != expected.fingerprint:
        return (
            f"makes other schedules than the master (fingerprint {hello.fingerprint[:8]}, not "
            f"{expected.fingerprint[:8]}): install the same numpy on both, on the same kind of processor"
        )
    if hello.digest != expected.digest:
        return "has another locustfile than the master: start it with -f -, or copy the master's file"
    return None
