"""A Docker engine of the test's own: data, socket and, while containers run, network namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

START_S = 60
BUILD_S = 1800
NEEDED = {
    "dockerd": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
PACKAGES = "python3,python3-venv,python3-pip,libpython3.11,ca-certificates"
DOCKER = "/usr/bin/docker"
"""Debian's, whatever else is called docker on the PATH."""


class EngineError(Exception):
    """The engine cannot be had, or a command of it failed; the message says why."""


def why_not() -> str | None:
    """Why no engine can be started here; None where it can."""
    if os.geteuid() != 0:
        return "a Docker engine of its own needs root"
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    return f"apt install {' '.join(missing)}" if missing else None


class Engine:
    """``folder`` keeps images between two tests; everything else ends with the engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.log = folder / "dockerd.log"
        self.namespace = f"tu-engine-{os.getpid()}"
        self.environment = os.environ | {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0"}

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """An engine without networks of its own: builds use the machine's, and nothing of it is changed."""
        with self._daemon("--bridge=none", "--iptables=false"):
            yield

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """An engine in a network namespace: its bridges, rules and published ports are seen there alone."""
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
            with self._daemon("--bridge=none", prefix=self.inside()):
                yield
        finally:
            subprocess.run(["ip", "netns", "delete", self.namespace], check=False)

    def inside(self) -> list[str]:
        """Runs a command in the namespace. Not by ``ip netns exec``: that hides the control groups."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def docker(self, *words: str, timeout_s: float = 120) -> str:
        return self.command(DOCKER, *words, timeout_s=timeout_s)

    def command(
        self, *words: str, timeout_s: float = 120, environment: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Its output. Raises EngineError with the end of what it said."""
        found = subprocess.run(
            words,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if found.returncode:
            said = (found.stdout + found.stderr).strip().splitlines()[-25:]
            raise EngineError(f"{' '.join(words[:6])} ended with {found.returncode}:\n" + "\n".join(said))
        return found.stdout.strip()

    def has(self, image: str) -> bool:
        return bool(self.docker("images", "-q", image))

    def base_image(self, name: str) -> None:
        """Debian's own Python under the name of the real image, with this machine's certificates."""
        root = self.folder / "root"
        shutil.rmtree(root, ignore_errors=True)
        make = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        self.command(*make, timeout_s=BUILD_S)
        for path in ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf"):
            if (Path("/") / path).exists():
                shutil.copyfile(Path("/") / path, root / path)
        archive = self.folder / "root.tar"
        self.command("tar", "-C", str(root), "-cf", str(archive), ".", timeout_s=BUILD_S)
        self.docker("import", str(archive), name, timeout_s=BUILD_S)
        archive.unlink()
        shutil.rmtree(root)

    def build(self, name: str, context: Path, dockerfile: Path, *options: str) -> None:
        """By the classic builder, with the machine's network."""
        more = ["--network", "host", "-f", str(dockerfile), "-t", name, *options]
        self.docker("build", "--quiet", *more, str(context), timeout_s=BUILD_S)

    @contextlib.contextmanager
    def _daemon(self, *options: str, prefix: Sequence[str] = ()) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*prefix, "dockerd", "--data-root", str(self.folder / "data")]
        command += ["--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "dockerd.pid")]
        command += ["--host", f"unix://{self.socket}", *options]
        with self.log.open("ab") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait(daemon)
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            # dockerd leaves this mount behind, and the folder could not be removed.
            left = self.folder / "exec" / "netns" / "default"
            subprocess.run(["umount", str(left)], capture_output=True, check=False)

    def _wait(self, daemon: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.docker("version")
                return
            except EngineError:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    raise EngineError(f"dockerd does not start: see {self.log}") from None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(0.2)
