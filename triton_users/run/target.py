"""The server under test: the user's own, or a real Triton started here with our demo models."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import gevent

from triton_users import demo
from triton_users.clock import now_ns
from triton_users.inputs import ModelSpec
from triton_users.net import Channel, RpcError
from triton_users.run.errors import RunError
from triton_users.run.models import read_spec
from triton_users.server import embedded
from triton_users.server.control import Control
from triton_users.units import NS_PER_S

Tell = Callable[[str], None]
PROBE_NS = NS_PER_S
ASK_NS = 2 * NS_PER_S
AGAIN_S = 0.1
CLOSE_NS = 2 * NS_PER_S


def check_demo_models(models: Iterable[str]) -> None:
    """Raises RunError for models that the embedded Triton does not have."""
    unknown = [model for model in models if model not in demo.MODELS]
    if unknown:
        raise RunError(
            f"no demo model is called {', '.join(unknown)}. The embedded Triton has "
            f"{', '.join(demo.MODELS)}; for a model of your own give its server: -H HOST:8001."
        )


class Target:
    """``host`` is HOST:PORT, or None for the embedded server, whose log lies in ``logs``.

    It outlives runs: starting and stopping in the web UI keeps the server.
    """

    def __init__(self, host: str | None, models: Iterable[str], logs: Path, tell: Tell) -> None:
        self.host = host
        self.embedded = host is None
        self.deaths: list[str] = []
        """What became of the embedded server, each time that it died."""
        self._tell = tell
        self._triton: embedded.EmbeddedTriton | None = None
        self._restarting: gevent.Greenlet | None = None
        self._hostname = socket.gethostname()
        self.models = sorted(set(models))
        self._logs = logs
        self._made: list[Path] = []
        self.url = host or ""
        self.channel: Channel
        self.ask: Control
        """Control calls that give up soon, for a server under load, or frozen."""

    def unreachable_from(self, host: str) -> str | None:
        """Why workers on the machine of that name cannot reach the server; None where they may."""
        if not self.embedded or host == self._hostname:
            return None
        return (
            "is on another machine than the embedded Triton, which is on the master's loopback: start Triton "
            "where all can reach it and give -H HOST:8001"
        )

    # Start

    def start(self, wait_ns: int) -> None:
        """Start or find the server and wait until it answers. Raises RunError."""
        deadline = now_ns() + wait_ns
        if self.embedded:
            self._start_embedded(wait_ns)
        self.channel = Channel(self.url)
        self.ask = Control(self.channel, ASK_NS)
        self._wait(deadline, wait_ns)

    def again(self, wait_ns: int) -> None:
        """Before another run: wait until it answers, a dead embedded one anew. Raises RunError."""
        self.watch()
        self._wait(now_ns() + wait_ns, wait_ns)

    def _wait(self, deadline: int, wait_ns: int) -> None:
        while True:
            self._wait_answer(deadline, wait_ns)
            try:
                for model in self.models:
                    self._wait_model(model, deadline, wait_ns)
                self.name, self.version, self.extensions = self.ask.server_metadata()
            except RpcError as error:  # it has gone away meanwhile, or answers this with an error
                if now_ns() >= deadline:
                    raise self._silent(error, wait_ns) from error
                gevent.sleep(AGAIN_S)
            else:
                return

    def _start_embedded(self, wait_ns: int) -> None:
        if (problem := embedded.available()) is not None:
            raise RunError(problem)
        check_demo_models(self.models)
        try:
            self._made = [path for path in (self._logs, *self._logs.parents) if not path.exists()]
            self._logs.mkdir(parents=True, exist_ok=True)
            log = self._logs / f".server-{os.getpid()}.log"
            log.touch()
        except OSError as error:
            raise RunError(
                f"--results {self._logs}: nothing can be written there ({error.strerror}). Give it a folder "
                "that you may write to."
            ) from error
        try:
            repository = demo.build(demo.default_root(), self.models)
        except OSError as error:
            raise RunError(f"the demo models cannot be built: {error}") from error
        self._triton = embedded.EmbeddedTriton(repository, log)
        self._tell(f"starting a Triton of our own on loopback with {', '.join(self.models)}")
        try:
            self._triton.start()
            self._triton.wait_ready(self._answers, wait_ns, self._tell)
        except embedded.ServerError as error:
            self.close()
            raise RunError(str(error)) from error
        self.url = self._triton.url

    def _answers(self) -> bool:
        assert self._triton is not None
        channel = Channel(self._triton.url)
        try:
            return Control(channel).ready()
        except RpcError:
            return False
        finally:
            channel.close(0)

    def _wait_answer(self, deadline: int, wait_ns: int) -> None:
        told = 0
        while True:
            try:
                self.channel.call(
                    "/inference.GRPCInferenceService/ServerLive",
                    b"",
                    max(min(PROBE_NS, deadline - now_ns()), 1),
                )
            except RpcError as error:
                left = deadline - now_ns()
                if left <= 0:
                    raise self._silent(error, wait_ns) from error
                if now_ns() - told >= NS_PER_S:
                    told = now_ns()
                    self._tell(f"waiting for {self.url}: {error.message} ({left / NS_PER_S:.0f} s left)")
                gevent.sleep(min(0.2, left / NS_PER_S))
            else:
                return

    def _silent(self, error: RpcError, wait_ns: int) -> RunError:
        return RunError(
            f"no Triton answers at {self.url} after {wait_ns / NS_PER_S:g} s ({error.message}). "
            "Is it running, and is this its gRPC port (usually 8001)? --wait-ready waits longer."
        )

    def _wait_model(self, model: str, deadline: int, wait_ns: int) -> None:
        told = 0
        while not self.ask.model_ready(model):
            known = self.ask.repository_index()
            if model not in known:
                raise RunError(f"{self.url} has no model {model!r}. It has: {', '.join(known) or 'none'}.")
            left = deadline - now_ns()
            if left <= 0:
                raise RunError(
                    f"model {model!r} is not ready at {self.url} after {wait_ns / NS_PER_S:g} s: see the "
                    "server's log, load the model, or wait longer with --wait-ready."
                )
            if now_ns() - told >= NS_PER_S:
                told = now_ns()
                self._tell(f"waiting for model {model} to be ready ({left / NS_PER_S:.0f} s left)")
            gevent.sleep(AGAIN_S)

    def spec(self, model: str, version: str) -> ModelSpec:
        """The model's tensors. Raises RunError, InputError."""
        try:
            return read_spec(self.channel, model, version)
        except RpcError as error:
            raise RunError(f"{self.url}: {error.message}") from error

    # While runs go on

    def watch(self) -> str | None:
        """If the embedded server has died since the last look: how; it is started again on its ports."""
        if self._triton is None or self._restarting or (death := self._triton.death()) is None:
            return None
        self.deaths.append(death)
        self._restarting = gevent.spawn(self._triton.restart)
        return death

    @property
    def metrics_url(self) -> str | None:
        """The embedded server's page of metrics; None of any other."""
        return None if self._triton is None else self._triton.metrics_url

    def link_log(self, path: Path) -> None:
        """Let the embedded server's log lie at ``path`` from now on; an earlier run keeps its own link."""
        if self._triton is None:
            return
        before = self._triton.log
        os.link(before, path)
        self._triton.move_log(path)
        if before.parent == self._logs:
            before.unlink()

    def close(self) -> None:
        """Stop what was started here, and close the connection: to a server of somebody else's not before it
        had some time to answer what is open, since cancelling can crash it."""
        channel: Channel | None = getattr(self, "channel", None)
        if channel is not None:
            channel.close(CLOSE_NS if self._triton is None else 0)
        if self._triton is not None:
            self._triton.stop()
            if self._triton.log.parent == self._logs:  # no run has taken it
                self._triton.log.unlink(missing_ok=True)
            self._triton = None
            for folder in self._made:  # a start that was refused leaves nothing behind
                with contextlib.suppress(OSError):
                    folder.rmdir()
