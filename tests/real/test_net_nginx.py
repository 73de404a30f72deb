"""Through nginx, as behind an ingress: it ends a connection after so many requests, and takes none of those
that are under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.fakes.channel_log import until
from tests.ledger import failures
from tests.real.proxies import Proxy, nginx
from tests.rig import Rig, flow, poisson, step
from triton_users.net import Channel
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.wire.headers import MOST_CHANGES

pytestmark = pytest.mark.usefixtures("bounded")

REQUESTS = 100
"""Of a connection."""


@pytest.fixture
def proxy(triton: EmbeddedTriton, tmp_path: Path) -> Iterator[Proxy]:
    made = nginx(triton.url, tmp_path, REQUESTS)
    channel = Channel(made.url)
    try:
        until(Control(channel).ready, 10)
        yield made
    finally:
        channel.close()
        made.stop()


def test_connections_that_end_after_so_many_requests_fail_none(proxy: Proxy) -> None:
    with Rig(proxy.url) as rig:
        windows, totals = rig.run(step(flow(), interval=1.0), 16)
        assert not failures(windows)
        assert totals["ok"] == totals["scheduled"] > 3 * REQUESTS
        windows, totals = rig.run(step(poisson(800.0), index=1, interval=1.0))
        assert not failures(windows)
        assert totals["ok"] == totals["scheduled"] > 3 * REQUESTS
        assert not rig.channels["flow"].connections_lost


def test_it_leaves_the_header_table_empty_when_asked(proxy: Proxy) -> None:
    """It enters its fields with every response, the date of each second among them."""
    channel = Channel(proxy.url)
    control = Control(channel)
    until(control.ready, 10)
    blocks = channel._current[0].wire._response_blocks
    changes = []
    for pause_s in (0.0, 1.1, 1.1, 1.1):
        gevent.sleep(pause_s)
        assert all(control.ready() for _ in range(22))
        changes.append(blocks.changes)
    assert blocks is channel._current[0].wire._response_blocks, "on one connection"
    channel.close()
    assert 20 <= changes[0] < changes[1] < MOST_CHANGES
    assert changes[-1] == MOST_CHANGES + 1  # the last one empties it
    assert blocks._table() == (0, ())
