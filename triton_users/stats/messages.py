"""The first distinct error messages of each status, bounded in number and length."""

from __future__ import annotations

from collections.abc import Iterable

PER_STATUS = 5
MAX_LENGTH = 200
OTHERS = "(other messages)"
"""Under this, all further messages of a status are counted, so that the counts add up to the failures."""


class Messages:
    """Counts of (status, message)."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}

    def add(self, status: str, message: str, count: int = 1) -> None:
        known = self._counts.setdefault(status, {})
        if message != OTHERS:
            message = message if len(message) <= MAX_LENGTH else message[: MAX_LENGTH - 1] + "…"
            if message not in known and len(known) - (OTHERS in known) >= PER_STATUS:
                message = OTHERS
        known[message] = known.get(message, 0) + count

    def extend(self, messages: Iterable[tuple[str, str, int]]) -> None:
        for status, message, count in messages:
            self.add(status, message, count)

    def listed(self) -> tuple[tuple[str, str, int], ...]:
        """(status, message, count), by status, in the order in which they came."""
        return tuple(
            (status, message, count)
            for status, known in sorted(self._counts.items())
            for message, count in known.items()
        )

    def cut(self) -> tuple[tuple[str, str, int], ...]:
        """What has come since the last cut."""
        listed = self.listed()
        self._counts.clear()
        return listed
