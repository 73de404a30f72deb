"""Hosts of a test's own: network namespaces joined by a bridge, created and removed here.

Addresses are of 198.18.0.0/15, which is set aside for benchmarks. Each host has a host name of
its own, too; the test itself is on the bridge.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

NETWORK = "198.18.77"


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

    def add(self, name: str) -> Host:
        number = len(self.found) + 1
        host = Host(name, f"{self.switch}-{number}", self.switch, f"{NETWORK}.{number}")
        self.found[name] = host
        _run("ip", "netns", "add", host.space)
        cable = ["type", "veth", "peer", "name", "eth0", "netns", host.space]
        _run("ip", "-n", self.switch, "link", "add", host.space, *cable)
        _run("ip", "-n", self.switch, "link", "set", host.space, "master", "bridge", "up")
        inside = ["ip", "-n", host.space]
        _run(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "link", "set", "lo", "up")
        return host

    def __getitem__(self, name: str) -> Host:
        return self.found[name]


@contextmanager
def hosts_of(*names: str) -> Iterator[Hosts]:
    """Hosts with these names. Skips, with the reason, where they may not be made; under CI that fails."""
    hosts = Hosts(uuid.uuid4().hex[:6])
    try:
        try:
            hosts.build()
            for name in names:
                hosts.add(name)
        except OSError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"no network namespaces: {error}")
            pytest.skip(f"no network namespaces: {error}")
        yield hosts
    finally:
        for space in [*(host.space for host in hosts.found.values()), hosts.switch]:
            with suppress(OSError):
                _run("ip", "netns", "del", space)
