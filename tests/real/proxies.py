"""A proxy of another make between us and a gRPC server, as a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from triton_users.server.ports import free_ports

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))

NGINX = """
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


def program(name: str, package: str) -> str:
    """Its path; skips where it is not installed, and fails under CI."""
    found = shutil.which(name, path=PLACES)
    if found is None:
        why = f"no {name} here (Debian package {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


class Proxy:
    """What listens on ``port`` of loopback while it runs."""

    def __init__(self, command: Sequence[str | Path], port: int) -> None:
        self._command = command
        self.url = f"127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.stop()
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def stop(self) -> None:
        if self.alive:
            self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


def nghttpx(server_url: str, folder: Path) -> Proxy:
    """nghttpx, with one worker, so that it keeps one connection to the server."""
    port = free_ports(1)[0]
    host, behind = server_url.split(":")
    return Proxy(
        [
            program("nghttpx", "nghttp2-proxy"),
            *(f"--frontend=127.0.0.1,{port};no-tls", f"--backend={host},{behind};;proto=h2"),
            *("--workers=1", "--conf=/dev/null", f"--errorlog-file={folder / 'nghttpx.log'}"),
        ],
        port,
    )


def nginx(server_url: str, folder: Path, requests: int) -> Proxy:
    """nginx, which ends a connection after so many requests (its own default is 1,000)."""
    port = free_ports(1)[0]
    conf = folder / "nginx.conf"
    conf.write_text(NGINX.format(folder=folder, target=server_url, port=port, requests=requests))
    command = [program("nginx", "nginx-light"), "-p", folder, "-e", folder / "early.log", "-c", conf]
    return Proxy(command, port)
