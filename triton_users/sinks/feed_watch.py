"""The few lines that are worth saying of how the feed fares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from triton_users.clock import wall_ns, wall_text
from triton_users.sinks.feed_status import FeedStatus
from triton_users.units import NS_PER_S, format_count, format_duration

REPEAT_NS = 30 * NS_PER_S
"""Between two lines about one and the same outage."""
PATIENCE_NS = 2 * NS_PER_S
"""An outage that is over sooner is not worth a line."""


class Watch:
    """Turns the feed's status into lines. ``rejected`` is where the feed keeps what it gives up."""

    def __init__(self, rejected: Path) -> None:
        self._rejected = rejected
        self._known = FeedStatus()
        self._since: int | None = None
        self._told = 0

    def news(self, status: FeedStatus, lines: int, now: int) -> Iterator[str]:
        """What to say of ``status`` when the spool has ``lines``."""
        yield from self.given_up(status)
        since = status.failing_since_ns
        waiting = f"{format_count(max(lines - status.lines, 0))} lines wait in the results folder"
        if since is None:
            if self._since is not None:
                outage = format_duration((now - self._since) // NS_PER_S * NS_PER_S)
                yield f"InfluxDB: written again after {outage}; {waiting}"
            self._since = None
        elif now - since >= PATIENCE_NS and (self._since is None or now - self._told >= REPEAT_NS):
            self._since = since if self._since is None else self._since
            self._told = now
            begun = wall_text(wall_ns() - max(now - since, 0))[11:19]
            yield f"InfluxDB: nothing written since {begun} UTC: {status.reason}; {waiting}"

    def given_up(self, status: FeedStatus) -> Iterator[str]:
        """What will never be in the database, since the last time: how much, why, and where it is kept."""
        known, self._known = self._known, replace(status)
        found = []
        if (refused := status.rejected - known.rejected) > 0:
            found.append(f"{format_count(refused)} points refused for good: {status.rejected_reason}")
        if (unreadable := status.unreadable - known.unreadable) > 0:
            found.append(f"{format_count(unreadable)} lines of the spool cannot be read")
        if found:
            kept = f"kept in {self._rejected}"
            if (unkept := status.unkept - known.unkept) > 0:
                kept = f"{format_count(unkept)} of them could not be {kept}: is the disk full?"
            yield f"InfluxDB: {'; '.join(found)}; {kept}"
