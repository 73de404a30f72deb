"""How long a stop waits for the run to close."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment

from triton_users.options.settings import Settings
from triton_users.run import protocol as p
from triton_users.run.session import CLOSE_S, Session
from triton_users.units import NS_PER_S
from triton_users.users import TritonUser


@pytest.mark.parametrize("url, drains_s", [(None, 30), ("http://127.0.0.1:8086", 30 + 600)])
def test_a_stop_waits_as_long_as_the_drains_may_take(url: str | None, drains_s: float) -> None:
    waited: list[float] = []
    stopped: list[str] = []
    settings = Settings(drain_ns=30 * NS_PER_S, influx_url=url, influx_drain_ns=600 * NS_PER_S)
    run: Any = SimpleNamespace(
        settings=settings,
        stop=stopped.append,
        finished=SimpleNamespace(is_set=lambda: False, wait=waited.append),
    )
    user = type("User", (TritonUser,), {"model": "any"})
    session = Session(Environment(user_classes=[user]), lambda packed, node: None, p.Hello("1"))
    session.run = run
    session.stop("enough")
    assert (stopped, waited) == (["enough"], [CLOSE_S + drains_s])
