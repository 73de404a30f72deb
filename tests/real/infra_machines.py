"""Machines for tests: network namespaces on one bridge, each with a real sshd that takes one key."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NET = "198.18.77"
MASTER = f"{NET}.1"
PORT = 2222
SSHD = "/usr/sbin/sshd"
CLEAR = {"PYTHONPATH": str(ROOT)}


@dataclass
class Machines:
    """``master`` is the namespace that holds the bridge; the others are joined to it."""

    folder: Path
    master: str
    names: list[str] = field(default_factory=list)
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def address(self, number: int) -> str:
        return f"{NET}.{11 + number}"

    def command(self, *command: str) -> list[str]:
        """To be run in the master's namespace."""
        return ["ip", "netns", "exec", self.master, *command]

    def pids(self, number: int) -> set[int]:
        """Processes on a machine, sshd and its sessions left out."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.names[number]], capture_output=True, text=True, check=True
        )
        alive = set()
        for pid in map(int, found.stdout.split()):
            with contextlib.suppress(OSError):
                if (
                    not (Path("/proc") / str(pid) / "cmdline")
                    .read_bytes()
                    .startswith((b"sshd", b"/usr/sbin/"))
                ):
                    alive.add(pid)
        return alive

    def hosts_file(self, *lines: str) -> Path:
        path = self.folder / "hosts"
        path.write_text("\n".join(lines) + "\n")
        return path

    def up(self, count: int) -> None:
        _ip("netns", "add", self.master)
        _ip("-n", self.master, "link", "set", "lo", "up")
        _ip("-n", self.master, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self.master, "addr", "add", f"{MASTER}/24", "dev", "bridge")
        _ip("-n", self.master, "link", "set", "bridge", "up")
        self._keys()
        for number in range(count):
            name = f"{self.master}-{number}"
            self.names.append(name)
            _ip("netns", "add", name)
            _ip(
                "-n",
                self.master,
                "link",
                "add",
                f"to-{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            _ip("-n", self.master, "link", "set", f"to-{number}", "master", "bridge", "up")
            _ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            log = (self.folder / f"sshd-{number}.log").open("wb")
            command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            with log:
                self.daemons.append(
                    subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=log, stderr=log)
                )
        for number in range(count):
            self._wait(number)

    def down(self) -> None:
        """Ends what runs in the namespaces and removes them; as much as there is."""
        for name in [*self.names, self.master]:
            found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
            for pid in map(int, found.stdout.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        for daemon in self.daemons:
            daemon.wait(10)

    def ssh_config(self, key: str = "key", known: str = "known_hosts") -> Path:
        """For ``ssh -F``: the test's keys, and nothing of the user's own."""
        path = self.folder / f"config-{key}-{known}"
        path.write_text(
            f"Host *\n  IdentityFile {self.folder / key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder / known}\n  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n"
        )
        return path

    def _keys(self) -> None:
        for name in ("key", "strange", "host"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.folder / name)]
            subprocess.run(make, check=True)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized")
        host = (self.folder / "host.pub").read_text().strip()
        (self.folder / "known_hosts").write_text(
            "".join(f"[{NET}.{n}]:{PORT} {host}\n" for n in range(11, 20))
        )
        (self.folder / "nobody").write_text("")
        (self.folder / "sshd_config").write_text(
            f"Port {PORT}\nHostKey {self.folder / 'host'}\nAuthorizedKeysFile {self.folder / 'authorized'}\n"
            f"PidFile none\nAllowUsers {getpass.getuser()}\nPermitRootLogin prohibit-password\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
        )

    def _wait(self, number: int) -> None:
        deadline = time.monotonic() + 10
        probe = f"import socket; socket.create_connection(({self.address(number)!r}, {PORT}), 1).close()"
        while subprocess.run(
            self.command("python3", "-c", probe), capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < deadline, (self.folder / f"sshd-{number}.log").read_text()
            time.sleep(0.05)


def _ip(*words: str) -> None:
    found = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {found.stderr.strip()}")


def why_not() -> str | None:
    """Why no machines can be made here; None where they can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    for program, package in ((SSHD, "openssh-server"), ("ssh", "openssh-client"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            return f"no {program} (Debian: apt install {package})"
    name = f"tu{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except RuntimeError as error:
        return f"network namespaces may not be made here: {error}"
    return None


def machines(folder: Path, count: int) -> Iterator[Machines]:
    """Up, used, and down again, after a failure too. Skips with the reason; under CI that fails."""
    if (why := why_not()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own empty folder
    found = Machines(folder, f"tu{os.getpid()}")
    try:
        found.up(count)
        yield found
    finally:
        found.down()


def on_hosts(machines: Machines, hosts: Path, *more: str, config: Path | None = None) -> list[str]:
    """The command under test, as the master's machine runs it."""
    options = ["--hosts", str(hosts), "--master-host", MASTER, "--python", sys.executable]
    options += ["--ssh-config", str(config or machines.ssh_config()), *more]
    return machines.command(sys.executable, "-m", "infra.hosts", *options)


def started(command: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | CLEAR | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
