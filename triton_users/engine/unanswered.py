"""How long several requests were in flight and none of them ended: the sign of a server that stands still."""

from __future__ import annotations

SEVERAL = 2
"""A single request that nothing answers may be a slow one."""

MAX_LOOKS_APART = 2
"""In intervals of looking; further apart, the generator itself stood still, and saw nothing."""


class Unanswered:
    """Is told every ``interval_ns`` what is in flight and whether anything has ended. Times are exact to that
    interval, and rather too short than too long."""

    def __init__(self, interval_ns: int) -> None:
        self._max_apart_ns = MAX_LOOKS_APART * interval_ns

    def start(self, now: int, from_ns: int) -> None:
        """Nothing is in flight. What is before ``from_ns`` does not count."""
        self._looked_at = now
        self._from, self._since = from_ns, max(now, from_ns)
        self._waited, self._over = False, False
        self._longest: tuple[int, int] | None = None

    def stop(self) -> None:
        """Nothing more is sent: how long the last answers take is no sign of anything."""
        self._over = True

    def look(self, now: int, in_flight: int, ended: bool) -> None:
        """``ended``: a request did, since the last look."""
        if self._over:
            return
        missed = now - self._looked_at > self._max_apart_ns
        if ended or missed or not self._waited:
            self._since = max(now, self._from)
        self._looked_at, self._waited = now, in_flight >= SEVERAL
        longest = self._longest
        if now > self._since and (longest is None or now - self._since > longest[1] - longest[0]):
            self._longest = self._since, now

    def cut(self) -> tuple[int, int] | None:
        """The longest time since the last cut, from when to when; it may have begun before. None without."""
        found, self._longest = self._longest, None
        return found
