"""A lane: one flow's load on one worker, with a channel of its own.

Each kind of load (slots, sender, pool) is a lane; the engine drives them all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from triton_users.net import NO_ANSWER, Channel, Ticket, status_name
from triton_users.stats.recorder import Recorder
from triton_users.step import Flow, Lease, Step

OVERDUE_NS = 2_000_000_000
"""An arrival this late was missed by a generator that was frozen: it is lost, not sent in a burst."""


class Lane(Protocol):
    """What the engine asks of a load. All times are on the local clock unless said otherwise."""

    flow: Flow
    channel: Channel

    def begin(self, step: Step, t0_ns: int, worker: int) -> None:
        """A step is about to start at ``t0_ns``; nothing is in flight."""

    def lease(self, lease: Lease) -> None:
        """May send from now on in this span."""

    def stop(self, now: int) -> None:
        """Send nothing more; what was due before ``now`` is accounted for."""

    def settle(self) -> None:
        """The drain has ended: what is unanswered becomes a failure."""

    def users(self, count: int) -> None:
        """So many Locust users of this flow are here now."""

    def account(self) -> None:
        """Hand to the recorder what was scheduled since the last time."""

    def close(self) -> None:
        """The step is over; timers go, the channel stays."""

    @property
    def in_flight(self) -> int:
        """Scheduled and not yet ended."""

    @property
    def occupied(self) -> int:
        """What counts against the in-flight cap: unfinished, or given up and still open at the server."""

    @property
    def unfinished(self) -> int:
        """What a drain waits for: in flight, and arrivals whose request is still being made."""


class Outcomes:
    """The recording half of a lane: a channel's listener that books what ends."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.done = recorder.done

    def room(self, now: int) -> None:
        """Open loop: an answer makes no request."""

    def failed(self, ticket: Ticket, status: int, message: bytes, now: int) -> None:
        self.recorder.failed(ticket, failure_name(status), text(message), now, sent=bool(ticket[1]))

    def refuse(self, tickets: Sequence[Ticket], reason: str, now: int) -> None:
        """No connection: these fail at once, unsent."""
        for ticket in tickets:
            self.recorder.failed(ticket, "UNAVAILABLE", reason, now, sent=False)


def failure_name(status: int) -> str:
    return "NO_ANSWER" if status == NO_ANSWER else status_name(status)


def text(message: bytes) -> str:
    return message.decode("utf-8", "replace")
