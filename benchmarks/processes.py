"""Child processes of the bench: started apart, measured from /proc, and gone at the end in any case."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

POLL_S = 0.05
TERM_S = 5.0
TAIL_LINES, TAIL_CHARACTERS = 3, 400


def die_with_us() -> list[str]:
    """A prefix that has the kernel end the child when the bench is killed -9 (util-linux's setpriv).

    Not a preexec_fn: that would fork a process that has grpc's threads.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def reaped_cpu_s() -> float:
    """User and system seconds of all children that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Child:
    """A process in a session of its own. Use as a context manager: leaving it ends the whole tree."""

    def __init__(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.argv = list(argv)
        self.log = log
        self.started_s = time.monotonic()
        self._reaped_s = reaped_cpu_s()
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                [*die_with_us(), *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._root = psutil.Process(self.pid)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def last_lines(self) -> str:
        """Where a program says why it ended."""
        return "\n".join(self.output.strip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()

    def total_cpu_s(self) -> float:
        """User and system seconds of its whole life, once it has ended; exact while no other child ends."""
        return reaped_cpu_s() - self._reaped_s

    def tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_s(self) -> float:
        """User and system seconds of the tree so far, with those of children that have ended."""
        total = 0.0
        for process in self.tree():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
        return total

    def rss_bytes(self) -> int:
        total = 0
        for process in self.tree():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def wait(self, timeout_s: float) -> bool:
        """True when the process has ended by itself within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def end(self) -> bool:
        """Have the tree end: SIGINT lets clients drain (a cut connection can crash Triton), then force.

        True when it had ended by itself.
        """
        by_itself = not self.alive
        tree = self.tree()
        for number in (signal.SIGINT, signal.SIGTERM):
            if not self.alive:
                break
            self._signal_group(number)
            self.wait(TERM_S)
        self._signal_group(signal.SIGKILL)
        for process in tree:  # those that left the session, too
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.wait(TERM_S)
        return by_itself

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return
