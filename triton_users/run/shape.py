"""The LoadTestShape that is always there: it only passes on what the run asks of Locust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from locust import LoadTestShape

Tick = Callable[[], tuple[int, float] | None]


class RunShape(LoadTestShape):
    """Users and spawn rate as the run wants them now; None when the run is over."""

    use_common_options = True

    def __init__(self, runner: Any, ask: Tick, begin: Callable[[], None]) -> None:
        super().__init__()
        self.runner = runner
        self._ask = ask
        self._begin = begin

    def reset_time(self) -> None:
        """Locust calls it at each start, before the first tick."""
        super().reset_time()
        self._begin()

    def tick(self) -> tuple[int, float] | None:
        return self._ask()
