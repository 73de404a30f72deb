"""A real Triton on a host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.hosts import Host
from tests.real.server_caller import PlainCaller
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton


class HostedTriton(EmbeddedTriton):
    """A Triton on a host of its own."""

    host: Host

    def _command(self, *of: object) -> list[str]:
        command = super()._command(*of)  # type: ignore[arg-type]
        return [*self.host.prefix, *(part.replace("127.0.0.1", self.host.address) for part in command)]

    @property
    def url(self) -> str:
        return super().url.replace("127.0.0.1", self.host.address)


@contextmanager
def triton_on(host: Host, repository: Path, log: Path) -> Iterator[HostedTriton]:
    """It runs on ``host`` and is ready."""
    server = HostedTriton(repository, log)
    server.host = host
    server.start()
    try:
        server.wait_ready(lambda: Control(PlainCaller(server.url)).ready())
        yield server
    finally:
        server.stop()
