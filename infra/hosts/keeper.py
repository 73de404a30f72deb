"""Runs on each host, sent there through SSH: starts the workers, passes on what they say, and ends them.

Nothing of ours need be installed for it, and it runs on any Python 3.7, so that it can say what is missing.
``ORDER`` is what ``remote.order`` made. Standard input is the lifeline: after the order come "go", "stop" and
beats; at its end, or silent for too long, the workers are ended. Standard output has one line per line of a
worker, "<number> <text>", and "! <JSON>" for what the keeper itself has to say.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata, util
from typing import Any

PR_SET_PDEATHSIG = 1
CHUNK = 65_536


def say(**what: object) -> None:
    write(b"! " + json.dumps(what).encode() + b"\n")


def write(data: bytes) -> None:
    """To standard output; when nobody reads it any more, the lifeline says so too."""
    with contextlib.suppress(OSError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def version(package: str) -> str | None:
    """None where it is not installed."""
    if util.find_spec(package.replace("-", "_")) is None:
        return None
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


class Keeper:
    """The workers of this host, and the lifeline."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.selector = selectors.DefaultSelector()
        self.workers: dict[int, subprocess.Popen[bytes]] = {}
        self.rest: dict[int, bytes] = {}
        self.asked = b""
        self.places: str | None = None
        self.stopped: float | None = None
        self.why = ""

    def run(self) -> int:
        """Returns when no worker is left."""
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda number, frame: self.stop(f"signal {number}"))
        signal.signal(signal.SIGALRM, lambda number, frame: self.overdue())
        signal.alarm(self.order["silence_s"])
        self.selector.register(0, selectors.EVENT_READ, self.listen)
        say(
            python="{}.{}.{}".format(*sys.version_info),
            package=version("triton-users"),
            locust=version("locust"),
            cores=os.cpu_count(),
            pid=os.getpid(),
        )
        try:
            while self.stopped is None or self.workers:
                for key, _ in self.selector.select(0.2):
                    key.data()
                self.look()
        finally:
            for process in self.workers.values():
                kill(process, signal.SIGKILL)
            if self.places is not None:
                shutil.rmtree(self.places, ignore_errors=True)
        say(ended=True, why=self.why)
        return 0

    def listen(self) -> None:
        """The lifeline has said something, or has ended."""
        data = os.read(0, CHUNK)
        if not data:
            self.selector.unregister(0)
            self.stop("the connection is gone")
            return
        if self.stopped is None:
            signal.alarm(self.order["silence_s"])
        *lines, self.asked = (self.asked + data).split(b"\n")
        for line in lines:
            if line == b"go" and not self.workers:
                self.start()
            elif line == b"stop":
                self.stop("told to")

    def start(self) -> None:
        """Each worker has a temporary folder of its own: Locust keeps the master's locustfile there, under
        one name, and a worker may read it while another writes it."""
        environment = {**os.environ, **self.order["environment"]}
        self.places = tempfile.mkdtemp(prefix="triton-users-", dir=environment.get("TMPDIR"))
        for number in range(self.order["workers"]):
            place = os.path.join(self.places, str(number))  # noqa: PTH118 - a text, for the environment
            os.mkdir(place)  # noqa: PTH102
            process = subprocess.Popen(
                [sys.executable, "-u", *self.order["arguments"]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**environment, "TMPDIR": place},
                start_new_session=True,
                preexec_fn=tie,  # noqa: PLW1509 - there is but one thread
            )
            assert process.stdout is not None
            pipe = process.stdout.fileno()
            self.workers[number], self.rest[number] = process, b""
            self.selector.register(pipe, selectors.EVENT_READ, lambda n=number, p=pipe: self.pass_on(n, p))
        say(started=[process.pid for process in self.workers.values()])

    def pass_on(self, number: int, pipe: int) -> None:
        """Whole lines, and at the end what is left."""
        data = os.read(pipe, CHUNK)
        *lines, self.rest[number] = (self.rest[number] + data).split(b"\n")
        if not data:
            self.selector.unregister(pipe)
            lines = [self.rest[number]] if self.rest[number] else []
        write(b"".join(b"%d %s\n" % (number, line) for line in lines))

    def look(self) -> None:
        """Who has ended, and who does not want to."""
        for number, process in list(self.workers.items()):
            if process.poll() is not None:
                kill(process, signal.SIGKILL)  # what it may have started
                self.empty(number, process)
                del self.workers[number]
                say(worker=number, code=process.returncode)
                if not self.workers:
                    self.stop("all workers have ended")
        if self.stopped is not None and time.monotonic() - self.stopped > self.order["stop_s"]:
            for process in self.workers.values():
                kill(process, signal.SIGKILL)

    def empty(self, number: int, process: subprocess.Popen[bytes]) -> None:
        """Pass on what an ended worker's pipe still holds."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        with contextlib.suppress(BlockingIOError):
            while pipe in self.selector.get_map():
                self.pass_on(number, pipe)
        if pipe in self.selector.get_map():
            self.selector.unregister(pipe)
        process.stdout.close()

    def stop(self, why: str) -> None:
        """SIGTERM now; SIGKILL later, by ``look``."""
        if self.stopped is None:
            self.stopped, self.why = time.monotonic(), why
            for process in self.workers.values():
                kill(process, signal.SIGTERM)
            signal.alarm(self.order["stop_s"] + 2)

    def overdue(self) -> None:
        """The lifeline is silent, or the end does not come; this runs even while a write to it blocks."""
        if self.stopped is None:
            self.stop("no word through the connection for {} s".format(self.order["silence_s"]))
            return
        for process in self.workers.values():
            kill(process, signal.SIGKILL)
        os._exit(1)


def kill(process: subprocess.Popen[bytes], number: int) -> None:
    """The worker's whole group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def tie() -> None:
    """A worker is killed when the keeper is, whatever killed it. Linux alone can promise this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


if __name__ == "__main__":
    sys.exit(Keeper(ORDER).run())  # type: ignore[name-defined]  # noqa: F821 - given by remote.BOOT
