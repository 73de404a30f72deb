"""--expect-workers-max-wait, our way: Locust ends with 1, and leaves what was made ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from triton_users.clock import now_ns
from triton_users.units import NS_PER_S


def muster(runner: Any, options: Any, waiting: Callable[[], bool], give_up: Callable[[str], None]) -> None:
    """Have ``give_up`` called with the reason when too few workers have come in time, or have stayed until
    Locust, which looks once a second, is no longer ``waiting`` for them."""
    limit_s, options.expect_workers_max_wait = options.expect_workers_max_wait, 0
    if limit_s:
        gevent.spawn(_wait, runner, options.expect_workers, limit_s, waiting, give_up)


def _wait(
    runner: Any, expected: int, limit_s: int, waiting: Callable[[], bool], give_up: Callable[[str], None]
) -> None:
    deadline = now_ns() + limit_s * NS_PER_S
    while waiting():
        if now_ns() > deadline and runner.worker_count < expected:
            give_up(
                f"{runner.worker_count} of {expected} workers have come within {limit_s} s "
                "(--expect-workers-max-wait): see the other workers' logs, or expect fewer"
            )
            return
        gevent.sleep(0.1)
