"""A real Triton on loopback, for as long as we want it: started, watched, restarted, stopped.

A server is there within about 0.2 s plus what its models take to load. Most of the 3 s of a default start are
stubs that Triton runs only to complete model configurations (1.6 s each): with ``auto_complete`` off, the
default, every model must bring a whole config.pbtxt, as ours do.
"""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from triton_users.process import Child, spawn
from triton_users.server.installed import Installation, ServerError, available, installation
from triton_users.server.ports import LOOPBACK, free_ports
from triton_users.server.workplace import Workplace

__all__ = ["EmbeddedTriton", "ServerError", "available"]

CACHE_BYTES = 104_857_600
PROBE_INTERVAL_S = 0.02
PROGRESS_INTERVAL_NS = 1_000_000_000
PORT_TRIES = 3
DEATH_LINES = 12

NOISE = re.compile(r"\s*([|+]|\d+# |$)")
"""Tables of options and stack frames: they hide what went wrong."""

ERROR = re.compile(r"E\d{4} (?!.*CudaDriverHelper)")
"""The log's error lines, but for the one that every start without a GPU brings."""

PORT_TAKEN = re.compile(r"failed to start .* service: .* already in use")


class EmbeddedTriton:
    """One Triton server process for one model repository, listening on 127.0.0.1 alone.

    It dies with us, whatever our death is (see `triton_users.process`); use it from the main thread. As a
    context manager it starts on entry and stops on exit; without one it stops when the interpreter exits.
    ``options`` are further command-line options of tritonserver, placed last; its log must stay on.
    """

    def __init__(
        self, repository: Path, log: Path, *, auto_complete: bool = False, options: Sequence[str] = ()
    ) -> None:
        self.repository = repository
        self.log = log
        self._auto_complete = auto_complete
        self._options = tuple(options)
        self._owner = os.getpid()
        self._child: Child | None = None
        self._place: Workplace | None = None
        self._ports: list[int] = []
        self._log_from = 0  # where the present server's part of the log begins

    @property
    def url(self) -> str:
        """gRPC's "127.0.0.1:PORT"; after `start`."""
        return f"{LOOPBACK}:{self._ports[0]}"

    @property
    def http_url(self) -> str:
        """HTTP's "127.0.0.1:PORT"; after `start`."""
        return f"{LOOPBACK}:{self._ports[1]}"

    @property
    def metrics_url(self) -> str:
        """The Prometheus page, "http://127.0.0.1:PORT/metrics"; after `start`."""
        return f"http://{LOOPBACK}:{self._ports[2]}/metrics"

    @property
    def pid(self) -> int | None:
        """Of tritonserver; None before `start` and after `stop`."""
        return None if self._child is None else self._child.pid

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    def start(self) -> None:
        """Spawn the server and return at once; on the ports it had before, or on three free ones.

        Raises ServerError where it cannot run here (`available`'s sentence) or already runs.
        """
        if self.alive:
            raise ServerError(f"the embedded Triton already runs (pid {self.pid})")
        installed = installation()
        if self._place is None:
            self._place = Workplace(installed)
            atexit.register(self._at_exit)
        self._ports = self._ports or free_ports(3)
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        self._child = spawn(self._command(installed, self._place), env=installed.environment(), log=self.log)

    def wait_ready(
        self,
        probe: Callable[[], bool],
        timeout_ns: int = 60_000_000_000,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Return once ``probe`` is true: the caller's own check over gRPC, False while there is no answer.

        ``probe`` must read `url` anew each time: when another program took a port in the meantime, the server
        is started again on new ones. ``progress`` gets a line about once a second.
        Raises ServerError, with the log's last lines, when the server ends first or after ``timeout_ns``.
        """
        started_ns = told_ns = time.monotonic_ns()
        tries, listening = 1, False
        while True:
            now_ns = time.monotonic_ns()
            if self._child is None:
                raise ServerError("the embedded Triton was not started")
            log = self._own_log()
            if PORT_TAKEN.search(log) and tries < PORT_TRIES:
                tries += 1
                self._move()
            elif (death := self.death()) is not None:
                raise ServerError(f"the embedded Triton ended before it was ready: {death}")
            elif listening and probe():
                return
            # The metrics port is the last to open, and said to be open a moment before that may fail.
            listening = "Started Metrics Service" in log
            if now_ns - started_ns > timeout_ns:
                raise ServerError(
                    f"the embedded Triton was not ready in {timeout_ns / 1e9:g} s{self._log_tail()}"
                )
            if progress is not None and now_ns - told_ns >= PROGRESS_INTERVAL_NS:
                told_ns = now_ns
                progress(f"waiting for the embedded Triton, {(now_ns - started_ns) / 1e9:.0f} s so far")
            self._child.wait(PROBE_INTERVAL_S)

    def move_log(self, log: Path) -> None:
        """The log lies at ``log`` from now on: the same file, linked there by the caller."""
        self.log = log
        if self._child is not None:
            self._child.log = log

    def death(self) -> str | None:
        """None while it lives (or was stopped by us), else exit code or signal and the log's last lines."""
        ending = None if self._child is None else self._child.ending()
        return None if ending is None else f"{ending}{self._log_tail()}"

    def stop(self, timeout_s: float = 1.0) -> None:
        """SIGTERM, then after ``timeout_s`` SIGKILL, for server and stubs; clears its place up. Idempotent.

        An orderly end takes Triton about 3 s and gains nothing: what it leaves behind is cleared up here.
        """
        if self._child is not None:
            self._child.stop(timeout_s)
            self._child = None
        if self._place is not None:
            self._place.remove()
            self._place = None
            atexit.unregister(self._at_exit)

    def restart(self) -> None:
        """Stop what still runs and start again on the same ports; follow with `wait_ready`."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def _at_exit(self) -> None:
        if os.getpid() == self._owner:  # a fork inherits the handler, never the server
            self.stop()

    def _move(self) -> None:
        """Start again on other ports."""
        assert self._child is not None
        self._child.kill()
        self._ports = []
        self.start()

    def _own_log(self) -> str:
        """What the present server has logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    def _log_tail(self) -> str:
        assert self._child is not None
        lines = [line for line in self._child.last_lines(200) if not NOISE.match(line)]
        # On the way down Triton writes a dozen lines after the one that says why.
        lines = [line for line in lines[:-DEATH_LINES] if ERROR.match(line)] + lines[-DEATH_LINES:]
        return f"; the end of {self.log}:\n" + "\n".join(f"  {line}" for line in lines)

    def _command(self, installed: Installation, place: Workplace) -> list[str]:
        grpc, http, metrics = map(str, self._ports)
        options = {
            "model-repository": str(self.repository.absolute()),
            # Loaded by name at the start, so that a step may load a model again with another configuration.
            "model-control-mode": "explicit",
            "load-model": "*",
            "backend-directory": str(place.backends),
            "backend-config": f"python,shm-region-prefix-name={place.region_prefix}",
            "cache-directory": str(installed.caches),
            "cache-config": f"local,size={CACHE_BYTES}",
            "grpc-address": LOOPBACK,
            "grpc-port": grpc,
            "http-address": LOOPBACK,
            "http-port": http,
            "metrics-address": LOOPBACK,
            "metrics-port": metrics,
            "exit-on-error": "true",
            "exit-timeout-secs": "3",
            "log-verbose": "0",
            "pinned-memory-pool-byte-size": "0",  # for GPU backends, which this Triton has none of
        }
        command = [str(installed.binary), *(f"--{name}={value}" for name, value in options.items())]
        if not self._auto_complete:
            command.append("--disable-auto-complete-config")
        return [*command, *self._options]
