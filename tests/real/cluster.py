"""Master and workers as a user starts them, on one machine, and the server's own view of their load."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from tests.real.locust_process import ROOT, LocustProcess, ledger_closes
from tests.real.server_caller import CallError, PlainCaller
from triton_users.server.control import Control

QUICK = ("--warm-up", "500ms", "--wait-ready", "10s", "--no-agent")
"""What most of these runs have in common."""
CRASHED = ("Signal (11) received", "Signal (6) received")
"""In the log of a Triton that killed clients have crashed (server issues #7368, #7472, #8034)."""


class Logged(Protocol):
    """A Triton, or what stands around one."""

    @property
    def log(self) -> Path: ...


Place = TypeVar("Place", bound=Logged)


def play(
    place_in: Callable[[Path], AbstractContextManager[Place]],
    history: Callable[[Place, Path], None],
    folder: Path,
) -> None:
    """Play, in a folder of its own, what needs a server that outlives killed clients. Where it fails and the
    server's log shows that their death has crashed it, which is Triton's fault, it is played once more; that
    counts."""
    for take in ("first", "second"):
        where = folder / take
        where.mkdir()
        with place_in(where) as place:
            try:
                history(place, where)
                return
            except AssertionError:
                log = place.log.read_text(errors="replace")
                if take == "second" or not any(mark in log for mark in CRASHED):
                    raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """A master with ``arguments`` that expects so many workers, and as many workers with ``-f -``.

    As a context manager it leaves no process behind.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        *arguments: str,
        expect: int | None = None,
        locustfile: str | Path = ROOT / "locustfiles/any.py",
        headless: bool = True,
        port: int | None = None,
        address: str = "127.0.0.1",
        prefix: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.address = address
        self.port = port or free_port()
        self.workers: list[LocustProcess] = []
        self.master = LocustProcess(
            folder / "master",
            *("--master", "--master-bind-host", address, "--master-bind-port", str(self.port)),
            *("--expect-workers", str(expect or workers), *arguments),
            locustfile=locustfile,
            headless=headless,
            prefix=prefix,
        )
        for _ in range(workers):
            self.add()

    def add(
        self,
        *arguments: str,
        locustfile: str | Path = Path("-"),
        env: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> LocustProcess:
        """One more worker. Locust keeps the master's locustfile as /tmp/<its name>, which another may then
        read half-written: each has a /tmp of its own."""
        folder = self.folder / f"worker{len(self.workers)}"
        env = {"TMPDIR": str(folder)} | (env or {})
        worker = LocustProcess(
            folder,
            *("--worker", "--master-host", self.address, "--master-port", str(self.port), *arguments),
            locustfile=locustfile,
            env=env,
            headless=False,
            prefix=prefix,
        )
        self.workers.append(worker)
        return worker

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in [self.master, *self.workers]:
            if process.process.poll() is None:
                process.signal(signal.SIGCONT)
            process.kill()

    # What it said and wrote

    @property
    def row(self) -> dict[str, Any]:
        """The one row of the summary."""
        [row] = self.master.rows
        return row

    def said(self) -> str:
        """Everybody's output, for a failure."""
        texts = [f"master:\n{self.master.output}"]
        texts += [f"worker {n}:\n{worker.output}" for n, worker in enumerate(self.workers)]
        return "\n".join(texts)

    def measuring(self, seconds: int = 0) -> None:
        """Wait until so many seconds of the measurement have passed."""
        self.master.says(f"measuring {seconds} of ")

    def ended(self, *codes: int, workers: Sequence[int] = (), limit_s: float = 60.0) -> None:
        """The master ends with one of the codes, these workers with 0, the ledger closes, nothing is left."""
        found = self.master.wait(limit_s)
        assert found in codes, f"exit code {found}\n{self.said()}"
        for number in workers:
            assert self.workers[number].wait(20) == 0, self.said()
        if self.master.results.exists() and list(self.master.results.iterdir()):
            ledger_closes(self.master.rows, [])  # the spool's seconds do not hold what killed workers lost
            assert "unaccounted" not in self.master.codes(), self.said()
        assert "Traceback" not in self.master.output, self.master.output


def killed(process: LocustProcess) -> float:
    """kill -9, and when."""
    at = time.monotonic()
    os.kill(process.process.pid, signal.SIGKILL)
    return at


SURE_S = 0.05
"""A count that took longer to read is of no known instant."""


class ServerRate:
    """The model's count of successful requests every 100 ms, from a thread, as Triton reports it."""

    def __init__(self, url: str, model: str) -> None:
        self.at: list[float] = []
        self.count: list[int] = []
        self._control = Control(PlainCaller(url))
        self._model = model
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ServerRate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            asked = time.monotonic()
            try:
                stats = self._control.statistics(self._model).model_stats
            except CallError:
                continue
            if (took := time.monotonic() - asked) < SURE_S:
                self.at.append(asked + took / 2)
                self.count.append(sum(one.inference_stats.success.count for one in stats))

    def rate(self, start: float, end: float) -> float:
        """Requests per second between two instants."""
        inside = [at for at in self.at if start - 0.5 <= at <= end + 0.5]
        assert len(inside) > 1, "nothing was read"
        first, last = np.interp([start, end], self.at, self.count)
        return float(last - first) / (end - start)

    def back_after(self, loss: float, rate: float, span_s: float = 0.5) -> float:
        """Seconds from ``loss`` until the rate, over ``span_s`` each, is back for good at 85 %: while load
        ran."""
        last = max(at for at, n in zip(self.at, self.count, strict=True) if n < self.count[-1])
        worst = at = loss
        while at + span_s < last:
            if self.rate(at, at + span_s) < 0.85 * rate:
                worst = at + span_s
            at += 0.1
        print(f"back after {worst - loss:.2f} s")
        return worst - loss
