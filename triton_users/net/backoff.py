"""How long to pause between attempts to connect."""

from __future__ import annotations

import random
from typing import Final

FIRST_S: Final = 0.05
MOST_S: Final = 1.0


class Backoff:
    """No pause at first, then one that doubles with every failure."""

    def __init__(self) -> None:
        self._pause_s = 0.0

    @property
    def pause_s(self) -> float:
        """The pause before the next attempt, never twice the same: clients that lost one server do not come
        back all at once."""
        return self._pause_s * random.uniform(0.8, 1.2)

    def succeeded(self) -> None:
        self._pause_s = 0.0

    def failed(self) -> None:
        self._pause_s = min(2 * self._pause_s or FIRST_S, MOST_S)
