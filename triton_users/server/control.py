"""Questions to a Triton over a caller's channel: is it ready, what does it serve, what has it counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"

NOBODY_ANSWERS = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""What a channel says of a server that is not there (yet). Other errors are answers, and are raised."""


class Caller(Protocol):
    """A connection to a server: what of a channel is needed here.

    ``call`` blocks for the answer's bytes. It raises an error with ``status`` (a gRPC status by name, such
    as "UNAVAILABLE") and ``message`` (a text) when the server answers an error, or not at all; ``timeout_ns``
    None leaves the limit to the channel.
    """

    def call(self, path: str, message: bytes, timeout_ns: int | None = None) -> bytes: ...


class Control:
    """Triton's control calls. Each raises what the channel's ``call`` raises, unless it says otherwise."""

    def __init__(self, channel: Caller, timeout_ns: int | None = None) -> None:
        self._channel = channel
        self._timeout_ns = timeout_ns

    def live(self) -> bool:
        """Whether the server answers and is alive; False as well while nobody answers."""
        return self._is_up(lambda: self._ask("ServerLive", {}, service_pb2.ServerLiveResponse).live)

    def ready(self) -> bool:
        """Whether the server and all its models are ready; False as well while nobody answers."""
        return self._is_up(lambda: self._ask("ServerReady", {}, service_pb2.ServerReadyResponse).ready)

    def model_ready(self, name: str, version: str = "") -> bool:
        """Whether a model is ready (any version by default); False as well for an unknown one."""
        asked = {"name": name, "version": version}
        return self._is_up(
            lambda: self._ask("ModelReady", asked, service_pb2.ModelReadyResponse).ready, "NOT_FOUND"
        )

    def server_metadata(self) -> tuple[str, str, tuple[str, ...]]:
        """The server's name, version and extensions."""
        answer = self._ask("ServerMetadata", {}, service_pb2.ServerMetadataResponse)
        return answer.name, answer.version, tuple(answer.extensions)

    def metadata(self, model: str, version: str = "") -> Any:
        """ModelMetadataResponse: versions, platform, inputs and outputs (name, datatype, full shape)."""
        return self._ask(
            "ModelMetadata", {"name": model, "version": version}, service_pb2.ModelMetadataResponse
        )

    def config(self, model: str, version: str = "") -> Any:
        """The model's ModelConfig, completed by the server."""
        answer = self._ask(
            "ModelConfig", {"name": model, "version": version}, service_pb2.ModelConfigResponse
        )
        return answer.config

    def repository_index(self) -> list[str]:
        """The names of all models in the server's repository, loaded or not, sorted."""
        answer = self._ask("RepositoryIndex", {}, service_pb2.RepositoryIndexResponse)
        return sorted({model.name for model in answer.models})

    def statistics(self, model: str = "", version: str = "") -> Any:
        """ModelStatisticsResponse of one model (all versions by default) or, with "", of all loaded ones."""
        return self._ask(
            "ModelStatistics", {"name": model, "version": version}, service_pb2.ModelStatisticsResponse
        )

    def _ask(self, method: str, asked: dict[str, str], answer: type[Any]) -> Any:
        request: Message = getattr(service_pb2, f"{method}Request")(**asked)
        data = self._channel.call(SERVICE + method, request.SerializeToString(), self._timeout_ns)
        return answer.FromString(data)

    @staticmethod
    def _is_up(ask: Callable[[], bool], *also_down: str) -> bool:
        try:
            return ask()
        except Exception as error:  # the channel's own type, known by what it carries
            if getattr(error, "status", None) in {*NOBODY_ANSWERS, *also_down}:
                return False
            raise
