"""The clock: integer nanoseconds of CLOCK_MONOTONIC, and wall time where a person reads it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Nanoseconds since an arbitrary fixed instant; never goes back. A parameter wherever it matters."""

SKEW_NS = int(os.environ.get("TRITON_USERS_CLOCK_SKEW_NS", "0"))
"""How far this process's clock is ahead of the machine's: one machine then stands for several, in tests."""


def _skewed_ns() -> int:
    return time.monotonic_ns() + SKEW_NS


now_ns: Clock = _skewed_ns if SKEW_NS else time.monotonic_ns

process_cpu_ns: Clock = time.process_time_ns


def wall_ns() -> int:
    """Nanoseconds since the epoch: for the one wall time of a run's zero, never for a duration."""
    return time.time_ns()


def wall_text(at_ns: int) -> str:
    """ISO 8601 in UTC of nanoseconds since the epoch."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
