"""The calls that ask or tell the server something, other than to infer. Any greenlet may make them."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.client.result import as_dict

HeaderDict = Mapping[str, str] | None
Answer = Any
"""A protobuf message, or a dict if ``as_json`` was asked for (then 64-bit integers are strings)."""

_UNCHANGED: Mapping[str, Any] = MappingProxyType({})


class ControlCalls(ABC):
    """Every method takes ``headers`` (name: value) and ``client_timeout`` in seconds (None: no limit), and
    raises InferenceServerException when the server refuses, cannot be reached, or does not answer in time."""

    @abstractmethod
    def _call(self, method: str, request: Any, headers: HeaderDict, client_timeout: float | None) -> Any:
        """The answer's message to a call of GRPCInferenceService."""

    def _ask(
        self, method: str, request: Any, headers: HeaderDict, client_timeout: float | None, as_json: bool
    ) -> Answer:
        answer = self._call(method, request, headers, client_timeout)
        return as_dict(answer) if as_json else answer

    # The server

    def is_server_live(self, headers: HeaderDict = None, client_timeout: float | None = None) -> bool:
        return bool(self._call("ServerLive", service_pb2.ServerLiveRequest(), headers, client_timeout).live)

    def is_server_ready(self, headers: HeaderDict = None, client_timeout: float | None = None) -> bool:
        return bool(
            self._call("ServerReady", service_pb2.ServerReadyRequest(), headers, client_timeout).ready
        )

    def get_server_metadata(
        self, headers: HeaderDict = None, as_json: bool = False, client_timeout: float | None = None
    ) -> Answer:
        request = service_pb2.ServerMetadataRequest()
        return self._ask("ServerMetadata", request, headers, client_timeout, as_json)

    # Models

    def is_model_ready(
        self,
        model_name: str,
        model_version: str = "",
        headers: HeaderDict = None,
        client_timeout: float | None = None,
    ) -> bool:
        request = service_pb2.ModelReadyRequest(name=model_name, version=_version(model_version))
        return bool(self._call("ModelReady", request, headers, client_timeout).ready)

    def get_model_metadata(
        self,
        model_name: str,
        model_version: str = "",
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        request = service_pb2.ModelMetadataRequest(name=model_name, version=_version(model_version))
        return self._ask("ModelMetadata", request, headers, client_timeout, as_json)

    def get_model_config(
        self,
        model_name: str,
        model_version: str = "",
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        request = service_pb2.ModelConfigRequest(name=model_name, version=_version(model_version))
        return self._ask("ModelConfig", request, headers, client_timeout, as_json)

    def get_model_repository_index(
        self, headers: HeaderDict = None, as_json: bool = False, client_timeout: float | None = None
    ) -> Answer:
        request = service_pb2.RepositoryIndexRequest()
        return self._ask("RepositoryIndex", request, headers, client_timeout, as_json)

    def load_model(
        self,
        model_name: str,
        headers: HeaderDict = None,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
        client_timeout: float | None = None,
    ) -> None:
        """``config`` is the model's configuration in JSON; ``files`` are {"file:<path>": content}, and need
        a ``config``."""
        request = service_pb2.RepositoryModelLoadRequest(model_name=model_name)
        if config is not None:
            request.parameters["config"].string_param = config
        for path, content in (files or {}).items():
            request.parameters[path].bytes_param = content
        self._call("RepositoryModelLoad", request, headers, client_timeout)

    def unload_model(
        self,
        model_name: str,
        headers: HeaderDict = None,
        unload_dependents: bool = False,
        client_timeout: float | None = None,
    ) -> None:
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model_name)
        request.parameters["unload_dependents"].bool_param = unload_dependents
        self._call("RepositoryModelUnload", request, headers, client_timeout)

    def get_inference_statistics(
        self,
        model_name: str = "",
        model_version: str = "",
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        """Of one model, or of all; durations are in nanoseconds."""
        request = service_pb2.ModelStatisticsRequest(name=model_name, version=_version(model_version))
        return self._ask("ModelStatistics", request, headers, client_timeout, as_json)

    # Trace and log settings

    def update_trace_settings(
        self,
        model_name: str | None = None,
        settings: Mapping[str, Any] = _UNCHANGED,
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        """A value is a string or a list of strings; None clears a setting. Gives the settings then valid."""
        request = service_pb2.TraceSettingRequest(model_name=model_name or "")
        for name, value in settings.items():
            setting = request.settings[name]
            if value is not None:
                setting.value.extend(value if isinstance(value, list) else [value])
        return self._ask("TraceSetting", request, headers, client_timeout, as_json)

    def get_trace_settings(
        self,
        model_name: str | None = None,
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        return self.update_trace_settings(model_name, _UNCHANGED, headers, as_json, client_timeout)

    def update_log_settings(
        self,
        settings: Mapping[str, Any],
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        """Gives the settings then valid."""
        kinds = {
            "log_file": "string_param",
            "log_format": "string_param",
            "log_verbose_level": "uint32_param",
        }
        request = service_pb2.LogSettingsRequest()
        for name, value in settings.items():
            setting = request.settings[name]
            if value is not None:
                setattr(setting, kinds.get(name, "bool_param"), value)
        return self._ask("LogSettings", request, headers, client_timeout, as_json)

    def get_log_settings(
        self, headers: HeaderDict = None, as_json: bool = False, client_timeout: float | None = None
    ) -> Answer:
        return self.update_log_settings(_UNCHANGED, headers, as_json, client_timeout)

    # Shared memory regions; "" as a name means all of them

    def get_system_shared_memory_status(
        self,
        region_name: str = "",
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        request = service_pb2.SystemSharedMemoryStatusRequest(name=region_name)
        return self._ask("SystemSharedMemoryStatus", request, headers, client_timeout, as_json)

    def register_system_shared_memory(
        self,
        name: str,
        key: str,
        byte_size: int,
        offset: int = 0,
        headers: HeaderDict = None,
        client_timeout: float | None = None,
    ) -> None:
        request = service_pb2.SystemSharedMemoryRegisterRequest(
            name=name, key=key, offset=offset, byte_size=byte_size
        )
        self._call("SystemSharedMemoryRegister", request, headers, client_timeout)

    def unregister_system_shared_memory(
        self, name: str = "", headers: HeaderDict = None, client_timeout: float | None = None
    ) -> None:
        request = service_pb2.SystemSharedMemoryUnregisterRequest(name=name)
        self._call("SystemSharedMemoryUnregister", request, headers, client_timeout)

    def get_cuda_shared_memory_status(
        self,
        region_name: str = "",
        headers: HeaderDict = None,
        as_json: bool = False,
        client_timeout: float | None = None,
    ) -> Answer:
        request = service_pb2.CudaSharedMemoryStatusRequest(name=region_name)
        return self._ask("CudaSharedMemoryStatus", request, headers, client_timeout, as_json)

    def register_cuda_shared_memory(
        self,
        name: str,
        raw_handle: bytes,
        device_id: int,
        byte_size: int,
        headers: HeaderDict = None,
        client_timeout: float | None = None,
    ) -> None:
        """``raw_handle`` is the cudaIPC handle in base64, as tritonclient's helpers give it."""
        request = service_pb2.CudaSharedMemoryRegisterRequest(
            name=name, raw_handle=base64.b64decode(raw_handle), device_id=device_id, byte_size=byte_size
        )
        self._call("CudaSharedMemoryRegister", request, headers, client_timeout)

    def unregister_cuda_shared_memory(
        self, name: str = "", headers: HeaderDict = None, client_timeout: float | None = None
    ) -> None:
        request = service_pb2.CudaSharedMemoryUnregisterRequest(name=name)
        self._call("CudaSharedMemoryUnregister", request, headers, client_timeout)


def _version(model_version: object) -> str:
    if not isinstance(model_version, str):
        raise InferenceServerException("model version must be a string")
    return model_version
