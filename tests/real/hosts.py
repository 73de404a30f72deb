"""Hosts of a test's own: network namespaces joined by a bridge, created and removed here.

Addresses are of 198.18.0.0/15, which is set aside for benchmarks. Each host has a host name of
its own, too; the test itself is on the bridge.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NETWORK = "198.18.77"
SLOW_LINE = Path(__file__).with_name("slow_line.py")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass
class Host:
    """One machine on the bridge."""

    name: str
    space: str
    switch: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """Before a command that is to run here."""
        named = 'hostname "$0" && exec "$@"'
        return ["ip", "netns", "exec", self.space, "unshare", "--uts", "sh", "-c", named, self.name]

    def unreachable(self, other: Host) -> None:
        """Nothing goes from here to ``other`` any more."""
        _run("ip", "-n", self.space, "route", "add", "unreachable", f"{other.address}/32")

    def plug(self, *, connected: bool) -> None:
        """Pull the cable, or plug it in again."""
        _run("ip", "-n", self.switch, "link", "set", self.space, "up" if connected else "down")


@dataclass
class Hosts:
    """All hosts of one test."""

    mark: str
    found: dict[str, Host] = field(default_factory=dict)
    lines: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def switch(self) -> str:
        """The namespace of the bridge: not ours, whose firewall may forward nothing."""
        return f"tu{self.mark}"

    def build(self) -> None:
        """The bridge, and a cable from it to us."""
        _run("ip", "netns", "add", self.switch)
        inside = ["ip", "-n", self.switch]
        _run(*inside, "link", "add", "bridge", "type", "bridge")
        _run(*inside, "link", "set", "bridge", "up")
        _run("ip", "link", "add", self.switch, "type", "veth", "peer", "name", "up", "netns", self.switch)
        _run("ip", "addr", "add", f"{NETWORK}.254/24", "dev", self.switch)
        _run("ip", "link", "set", self.switch, "up")
        _run(*inside, "link", "set", "dev", "up", "master", "bridge", "up")

    def add_far(self, name: str) -> Host:
        """A host at the end of a long and lossy cable: 20 ms, 1 %. Skips or fails as ``hosts_of``."""
        with _allowed():
            return self.add(name, delay_ms=20, loss=0.01)

    def add(self, name: str, *, delay_ms: float = 0, loss: float = 0) -> Host:
        """A host. What it sends arrives ``delay_ms`` later; of either direction the share ``loss`` never."""
        number = len(self.found) + 1
        host = Host(name, f"{self.switch}-{number}", self.switch, f"{NETWORK}.{number}")
        self.found[name] = host
        _run("ip", "netns", "add", host.space)
        if delay_ms or loss:
            self._slow_line(host, delay_ms, loss)
        else:
            cable = ["type", "veth", "peer", "name", "eth0", "netns", host.space]
            _run("ip", "-n", self.switch, "link", "add", host.space, *cable)
        _run("ip", "-n", self.switch, "link", "set", host.space, "master", "bridge", "up")
        inside = ["ip", "-n", host.space]
        _run(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")
        return host

    def _slow_line(self, host: Host, delay_ms: float, loss: float) -> None:
        ends = (host.space, "eth0", self.switch, host.space)
        line = subprocess.Popen(
            [sys.executable, SLOW_LINE, *ends, str(delay_ms), str(loss)], stdout=subprocess.PIPE, text=True
        )
        self.lines.append(line)
        assert line.stdout is not None
        if line.stdout.readline() != "ready\n":
            raise OSError("no TAP devices (/dev/net/tun)")

    def __getitem__(self, name: str) -> Host:
        return self.found[name]


@contextmanager
def _allowed() -> Iterator[None]:
    """Skips, with the reason, where hosts may not be made; under CI that fails."""
    try:
        yield
    except OSError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no network namespaces: {error}")
        pytest.skip(f"no network namespaces: {error}")


@contextmanager
def hosts_of(*names: str) -> Iterator[Hosts]:
    """Hosts with these names. Skips, with the reason, where they may not be made; under CI that fails."""
    hosts = Hosts(uuid.uuid4().hex[:6])
    try:
        with _allowed():
            hosts.build()
            for name in names:
                hosts.add(name)
        yield hosts
    finally:
        for line in hosts.lines:
            line.kill()
            line.communicate()
        for space in [*(host.space for host in hosts.found.values()), hosts.switch]:
            with suppress(OSError):
                _run("ip", "netns", "del", space)
