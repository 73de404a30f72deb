"""Through nginx, as behind an ingress: it ends a connection after so many requests, and takes none of those
that are under way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.channel_log import until
from tests.ledger import failures
from tests.real.proxies import Proxy, program
from tests.rig import Rig, flow, poisson, step
from triton_users.net import Channel
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.server.ports import free_ports

pytestmark = pytest.mark.usefixtures("bounded")

REQUESTS = 100
"""Of a connection; nginx's own default is 1,000."""
CONFIGURATION = """
user root; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream triton {{ server {target}; keepalive 32; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} http2;
        keepalive_requests {requests};
        location / {{ grpc_pass grpc://triton; }}
    }}
}}
"""


@pytest.fixture
def proxy(triton: EmbeddedTriton, tmp_path: Path) -> Iterator[Proxy]:
    nginx = program("nginx", "nginx-light")
    port = free_ports(1)[0]
    text = CONFIGURATION.format(folder=tmp_path, target=triton.url, port=port, requests=REQUESTS)
    (tmp_path / "nginx.conf").write_text(text)
    made = Proxy([nginx, "-p", tmp_path, "-e", tmp_path / "early.log", "-c", tmp_path / "nginx.conf"], port)
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
