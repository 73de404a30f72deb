"""What a plan needs of the world: ``measure(step)``, what it returns, and how it is stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from triton_users.step import Step


class Measured(Protocol):
    """The part of a step's result that plans decide by; over all flows and classes of the step."""

    @property
    def achieved_request_rate(self) -> float:
        """Successful requests per second in the measured trials."""

    @property
    def latency_p50_ns(self) -> int | None:
        """Median latency of successful requests; None without any."""


Result = TypeVar("Result", bound=Measured)
Measure = Callable[[Step], Result]
"""Runs one step to its end. Raises Stopped when the run is to end before."""


LatencyOf = Callable[[Step], int | None]
"""What one request of a step takes, in ns, where no step has told yet; None where that cannot be known."""


class Stopped(Exception):  # noqa: N818 - not an error: the user, -t or a lost server ended the run
    """The run is ending. ``partial`` is what the step under way has measured, None if nothing."""

    def __init__(self, partial: Measured | None = None) -> None:
        super().__init__("the run was stopped")
        self.partial = partial
