"""When a worker answers a Grant: at once, or with the window that it is about to send anyway; pure.

What a message costs the master depends little on what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.run import protocol as p
from triton_users.units import NS_PER_MS

HOLD_NS = 200 * NS_PER_MS
"""An answer waits for a window that is to be cut within so long."""
LONGEST_NS = 300 * NS_PER_MS
"""No answer waits longer: the cut and the sending each wait for a gap in the load, and may come late."""


@dataclass(frozen=True, slots=True)
class Owed:
    """The answer to a Grant that came at ``came_ns``, on our clock; ``sent_ns`` is its own stamp."""

    sent_ns: int
    came_ns: int

    def beat(self, now: int, run: str, prepared: int, begun: int) -> p.Beat:
        """As it is sent now."""
        return p.Beat(self.sent_ns, now, run, prepared, begun, now - self.came_ns)


@dataclass(slots=True)
class Answer:
    """The one that waits, if one does. What a method returns is to be sent at once."""

    waiting: Owed | None = None

    def granted(self, owed: Owed, cut_ns: int | None) -> tuple[Owed, ...]:
        """A Grant has come. ``cut_ns`` is when the next window will be cut, None without load."""
        due = self.take()
        if cut_ns is None or cut_ns - owed.came_ns > HOLD_NS:
            return *due, owed
        self.waiting = owed
        return due

    def take(self) -> tuple[Owed, ...]:
        """Another message is about to be sent: what waits goes with it."""
        owed, self.waiting = self.waiting, None
        return () if owed is None else (owed,)

    def late(self, owed: Owed) -> tuple[Owed, ...]:
        """LONGEST_NS after ``owed`` came: it goes alone, if it still waits."""
        return self.take() if self.waiting is owed else ()
