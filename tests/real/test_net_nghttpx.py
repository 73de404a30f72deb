"""Through a proxy of another make: nghttpx between us and Triton."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.fakes.channel_log import until
from tests.ledger import failures
from tests.real.proxies import Proxy, nghttpx
from tests.rig import Rig, flow, poisson, step
from triton_users.net import Channel
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.step import RequestClass

pytestmark = pytest.mark.usefixtures("bounded")


@pytest.fixture
def proxy(triton: EmbeddedTriton, tmp_path: Path) -> Iterator[Proxy]:
    made = nghttpx(triton.url, tmp_path)
    yield made
    made.stop()


def test_calls_and_load_pass(proxy: Proxy) -> None:
    channel = Channel(proxy.url)
    control = Control(channel)
    until(control.ready, 10)
    channel.close()
    with Rig(proxy.url) as rig:
        _, totals = rig.run(step(flow(), interval=0.5), 32)
        assert totals["ok"] == totals["scheduled"] > 32
        _, totals = rig.run(step(poisson(300.0), index=1, interval=0.5))
        assert totals["ok"] == totals["scheduled"]


def test_large_tensors_pass(proxy: Proxy) -> None:
    """Its windows are 64 KiB: everything goes in pieces, both ways."""
    big = flow(classes=((RequestClass("identity", 1, (("INPUT0", (450_000,)),)), 1.0),))
    with Rig(proxy.url) as rig:
        _, totals = rig.run(step(big, interval=0.7), 3)
        assert totals["ok"] == totals["scheduled"] > 3


def test_its_graceful_shutdown_fails_nothing_of_ours_that_it_took(proxy: Proxy) -> None:
    """SIGQUIT: GOAWAY, what is in flight is answered; then nobody listens until it is started again."""
    with Rig(proxy.url) as rig:
        rig.begin(step(flow(), interval=30.0), 8)
        rig.lease(0, 30)
        rig.at(0.5)
        proxy.signal(signal.SIGQUIT)
        until(lambda: not proxy.alive, 10)
        proxy.start()
        before = len(rig.windows)
        until(lambda: rig.lanes[0].channel.connected, 10)
        until(lambda: len(rig.windows) > before, 5)
        windows, totals = rig.end()
        assert totals["ok"] > 100
        assert totals["failed"] <= 8, failures(windows)


def test_a_killed_proxy_and_a_new_one(proxy: Proxy) -> None:
    with Rig(proxy.url) as rig:
        rig.begin(step(poisson(300.0), interval=30.0))
        rig.lease(0, 30)
        rig.at(0.3)
        proxy.signal(signal.SIGKILL)
        rig.at(0.6)
        proxy.start()
        until(lambda: rig.channels["flow"].connected, 10)
        gevent.sleep(0.5)
        windows, totals = rig.end()
        assert set(failures(windows)) <= {"UNAVAILABLE"}
        assert totals["failed"] >= 50
        assert totals["ok"] > 100
