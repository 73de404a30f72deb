"""The one Triton that all peers meet: started, watched, counted, restarted when it dies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from triton_users.demo.repository import build, default_root
from triton_users.server.embedded import EmbeddedTriton
from triton_users.units import NS_PER_S

READY_NS = 60 * NS_PER_S
CALL_S = 5.0
QUIET_POLL_S = 0.2
QUIET_S = 10.0


class ServerDeathError(Exception):
    """Triton is gone; the message says how it ended."""


class Server:
    """Embedded Triton on loopback with the demo models that the cases need."""

    def __init__(self, folder: Path, models: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._triton = EmbeddedTriton(build(default_root(), models), folder / "server.log")
        self._client: Any = None
        self.deaths = 0

    def start(self) -> None:
        self._triton.start()
        self._ready()

    def stop(self) -> None:
        self._close()
        self._triton.stop()

    def restart(self) -> None:
        self.deaths += 1
        self._close()
        self._triton.restart()
        self._ready()

    def check(self) -> None:
        """Raises ServerDeathError when the process has ended."""
        if not self._triton.alive:
            raise ServerDeathError(str(self._triton.death()))

    @property
    def address(self) -> str:
        """HOST:PORT of the gRPC endpoint."""
        return self._triton.url

    @property
    def version(self) -> str:
        return str(self._client.get_server_metadata(client_timeout=CALL_S).version)

    def metadata(self, model: str) -> Any:
        return self._client.get_model_metadata(model, client_timeout=CALL_S)

    def max_batch_size(self, model: str) -> int:
        return int(self._client.get_model_config(model, client_timeout=CALL_S).config.max_batch_size)

    def served(self, model: str) -> tuple[int, int]:
        """Requests that Triton has answered successfully since it started, cache hits among them, and the
        nanoseconds that it had them for, in sum."""
        try:
            statistics = self._client.get_inference_statistics(model, client_timeout=CALL_S)
        except InferenceServerException as error:
            self.check()
            raise ServerDeathError(f"the statistics call failed: {error}") from error
        found = [one.inference_stats.success for one in statistics.model_stats]
        return sum(int(one.count) for one in found), sum(int(one.ns) for one in found)

    def successes(self, model: str) -> int:
        """``served``, its count alone."""
        return self.served(model)[0]

    def quiet(self, model: str) -> int:
        """Wait until nothing is being answered any more; the success count then. Bounded."""
        deadline = time.monotonic() + QUIET_S
        last = self.successes(model)
        while time.monotonic() < deadline:
            time.sleep(QUIET_POLL_S)
            now = self.successes(model)
            if now == last:
                break
            last = now
        return last

    def _ready(self) -> None:
        """A new client at each try: a restart may change the port, and grpc backs off from closed ones."""
        self._triton.wait_ready(self._probe, READY_NS)

    def _probe(self) -> bool:
        self._close()
        self._client = grpcclient.InferenceServerClient(self.address)
        try:
            return bool(self._client.is_server_ready(client_timeout=CALL_S))
        except InferenceServerException:
            return False

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
