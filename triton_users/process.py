"""Children that die with us: the embedded server, the InfluxDB feed, the agent.

A child gets the kernel's promise of SIGKILL at our own death (PR_SET_PDEATHSIG), whatever that death is,
`kill -9` included. The kernel keeps it for the *thread* that spawned, not the process: spawn from a thread
that lives as long as the process does, which for us is the main one (gevent's greenlets all run there).
On other systems than Linux there is no such promise, and only `Child.stop` ends a child.

Works in plain Python and under gevent's monkey-patching, where `subprocess` and its waits become cooperative.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

TAIL_BYTES = 65_536
"""How much of a log's end is read for its last lines."""

NICE = 10


def give_way() -> None:
    """Called by a child that must not disturb the load: it runs behind whatever else wants its processor, and
    by SCHED_BATCH (sched(7)) its waking up interrupts nobody."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    log: Path,
    cwd: Path | None = None,
    stdout: int | None = None,
) -> Child:
    """Start ``command`` in a session and process group of its own, its output appended to ``log``.

    ``stdout`` is a file descriptor for its standard output instead. ``env`` None inherits ours. Raises
    OSError when the program cannot be started or the log not be opened.
    A terminal's Ctrl-C does not reach the child: we decide when it ends.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
            # It calls nothing but what was made ready before the fork, so that other threads cannot block it.
            preexec_fn=_tie_to(os.getpid()),  # noqa: PLW1509
        )
    return Child(process, log)


class Child:
    """A running (or ended) child, made by `spawn`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float) -> bool:
        """True once it has ended; False after ``timeout_s``. Yields to other greenlets under gevent."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return self._process.poll() is not None

    def stop(self, timeout_s: float = 5.0) -> None:
        """SIGTERM to the child, ``timeout_s`` for it to end, then SIGKILL to whatever is left of its group.

        Returns when the child is reaped; does nothing bad to one that has ended, but still clears its group.
        """
        self.terminate()
        self.wait(timeout_s)
        self.kill()

    def terminate(self) -> None:
        """SIGTERM to the child, if it lives."""
        if self.alive:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to the whole group (a server's helpers too), then reap the child."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def ending(self) -> str | None:
        """None while it lives, else how it ended: "exit code 1", "signal SIGSEGV"."""
        code = self._process.poll()
        if code is None:
            return None
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"

    def last_lines(self, n: int) -> list[str]:
        """The log's last ``n`` lines, without line ends; fewer where there are fewer."""
        return last_lines(self.log, n)


def last_lines(log: Path, n: int) -> list[str]:
    """The last ``n`` lines of a text file, empty where there is none; undecodable bytes are replaced."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return list(deque(text.splitlines(), maxlen=n))


if sys.platform == "linux":
    _prctl = ctypes.CDLL(None, use_errno=True).prctl

    def end_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
        """In a child just forked: have the kernel send ``number`` when the thread that forked us ends."""
        _prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl: nobody would send the signal any more
            os.kill(os.getpid(), number)

    def _tie_to(parent: int) -> Callable[[], None] | None:
        return lambda: end_with_parent(parent)

else:

    def end_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Only Linux has such a promise."""

    def _tie_to(parent: int) -> Callable[[], None] | None:
        return None
