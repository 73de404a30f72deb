"""A proxy of another make between us and a server, as a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


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
