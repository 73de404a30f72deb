"""How long to wait before the next attempt: twice as long each time, within bounds, never in step."""

from __future__ import annotations

import random

FIRST_S = 0.5
LONGEST_S = 5.0


class Backoff:
    """``delay_s`` of each further failure; ``reset`` after a success."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0

    def delay_s(self, after_s: float | None = None) -> float:
        """Between half and the whole of the doubled wait, and not before ``after_s``."""
        whole = min(self._first_s * 2 ** min(self._failures, 16), self._longest_s)
        self._failures += 1
        return max(random.uniform(whole / 2, whole), after_s or 0.0)

    def reset(self) -> None:
        self._failures = 0
