"""The master's talk with its workers in made-up time: when its rounds are, and what an answer tells."""

from __future__ import annotations

from typing import Any

import pytest
from gevent.queue import Empty

from triton_users.options import Settings
from triton_users.run import conversation
from triton_users.run import protocol as p
from triton_users.run.conversation import Conversation, Leading
from triton_users.run.roster import Roster
from triton_users.run.workers import Peer, Workers
from triton_users.step import POISSON, Flow, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

HELLO = p.Hello("1.0", "f", "d", "here", 1, "127.0.0.1")
ZERO = 1_234_567_890_123
FLOW = Flow("f", "U", "m", POISSON, 100.0, None, ((RequestClass("m", 1), 1.0),))
STEP = Step(0, "s", (FLOW,), NS_PER_S, None, 1)


class Talk:
    """A master and one worker of it. ``coming`` are the worker's words, and when they come."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = ZERO
        monkeypatch.setattr(conversation, "now_ns", lambda: self.now)
        self.sent: list[tuple[int, Any]] = []
        self.coming: list[tuple[int, tuple[Any, ...]]] = []
        self.answers = False
        """The worker answers each grant by itself, as with a window."""
        workers = Workers(self._hear, lambda: ["a"])
        workers.hello("a", HELLO, self.now, HELLO)
        self.peer = workers.peers["a"]
        inbox: Any = self
        self.talk = Conversation("r", ZERO, workers, self._start, lambda window: None, lambda peer: None)
        self.talk.inbox = inbox

    def _start(self, peer: Peer) -> p.RunStart:
        return p.RunStart("r", "", 0, "", peer.number, Settings())

    def _hear(self, packed: bytes, node: str | None) -> None:
        for message in p.decode(packed):
            self.sent.append((self.now - ZERO, message))
            if self.answers and isinstance(message, p.Grant):
                held = 100 * NS_PER_MS
                beat = p.Beat(message.sent_ns, message.sent_ns + held, "r", 0, 0, held)
                self.coming.append((self.now + held + 30 * NS_PER_MS, (beat,)))

    def get(self, timeout: float) -> tuple[str, bytes, int]:
        """What the master waits for."""
        until = self.now + round(timeout * NS_PER_S)
        if self.coming and self.coming[0][0] <= until:
            self.now, messages = self.coming.pop(0)
            return "a", p.encode(*messages), self.now
        self.now = until
        raise Empty

    @property
    def rounds_s(self) -> list[float]:
        return [at / NS_PER_S for at, message in self.sent if isinstance(message, p.Grant)]

    def listen(self, until_s: float) -> None:
        self.talk.listen((ZERO - self.now) / NS_PER_S + until_s)


def test_rounds_keep_clear_of_the_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is at once; one that is asked for, or comes late, moves no other."""
    made = Talk(monkeypatch)
    made.listen(2)
    assert made.rounds_s == [0, 0.9, 1.9]
    made.talk.soon()
    made.listen(2.2)
    assert made.rounds_s[3:] == [2]
    made.now += NS_PER_S  # merging, say
    made.listen(4)
    assert made.rounds_s[4:] == [3.2, 3.9]


@pytest.mark.parametrize("pause_ms", [300, 700, 950, 990, 1050, 1150])
def test_a_pause_of_the_master_silences_nobody(monkeypatch: pytest.MonkeyPatch, pause_ms: int) -> None:
    """It begins before the last answers have come, and ends with a round that comes before they are read."""
    made = Talk(monkeypatch)
    made.answers = True
    made.peer.ready = p.Ready("r", 0)
    roster = Roster(0, None)
    made.talk.leading = Leading(STEP, 0, roster)
    made.listen(2.91)
    made.now += pause_ms * NS_PER_MS
    made.listen(8)
    assert [span.workers for span in roster.spans if span.until_ns > NS_PER_S] == [(0,)]
    grants = [message for at, message in made.sent if isinstance(message, p.Grant) and at > NS_PER_S]
    assert all(grant.leases for grant in grants)


def test_an_answer_tells_of_when_it_was_given_not_of_when_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Talk(monkeypatch)
    sent = ZERO + 400 * NS_PER_MS
    held = p.Beat(sent, 7 * NS_PER_S, "r", -1, -1, held_ns=110 * NS_PER_MS)
    made.coming = [
        (ZERO + 512 * NS_PER_MS, (held,)),
        (ZERO + 900 * NS_PER_MS, (p.Beat(sent, 0, "r", -1, -1),)),
    ]
    made.listen(0.6)
    assert made.peer.alive_ns == sent + 110 * NS_PER_MS
    assert made.peer.clock.offset_ns == 7 * NS_PER_S - 55 * NS_PER_MS - (sent + 56 * NS_PER_MS)
    made.listen(1)
    assert made.peer.alive_ns == sent + 110 * NS_PER_MS  # what came later is of before
    assert made.peer.heard_ns == ZERO + 900 * NS_PER_MS
