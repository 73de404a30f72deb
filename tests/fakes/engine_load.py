"""Load that lasts until something holds, however long a busy machine takes over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from tests.fakes.channel_log import until
from tests.fakes.peer import Peer
from tests.rig import Rig
from triton_users.stats.window import Window
from triton_users.step import Step

LONG_S = 15.0
"""More than any ``until`` waits."""


def run_until(
    rig: Rig, step: Step, users: int | Mapping[str, int], true: Callable[[], bool], drain: float = 5.0
) -> tuple[list[Window], Counter[str]]:
    """A step of closed loops, ended once ``true()`` holds: its windows and totals."""
    rig.begin(step, users)
    rig.lease(0, LONG_S)
    until(true, LONG_S)
    return rig.end(drain)


def answer_all(peer: Peer, message: bytes = b"message") -> None:
    """What the peer was silent about."""
    for link, stream_id, _ in list(peer.requests):
        link.respond(stream_id, message)
