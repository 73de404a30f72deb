"""Each control call sends the message that tritonclient sends, and reads the answer alike."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import tritonclient.grpc as theirs
from tritonclient.grpc import service_pb2

import triton_users.client as ours

SERVICE = "/inference.GRPCInferenceService/"

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("is_server_live", {}),
    ("is_server_ready", {}),
    ("is_model_ready", {"model_name": "m", "model_version": "2"}),
    ("get_server_metadata", {}),
    ("get_model_metadata", {"model_name": "m"}),
    ("get_model_config", {"model_name": "m", "model_version": "2"}),
    ("get_model_repository_index", {}),
    ("load_model", {"model_name": "m", "config": "{}", "files": {"file:1/model.onnx": b"\x00"}}),
    ("unload_model", {"model_name": "m", "unload_dependents": True}),
    ("get_inference_statistics", {"model_name": "m"}),
    ("update_trace_settings", {"model_name": "m", "settings": {"a": "1", "b": ["2", "3"], "c": None}}),
    ("update_trace_settings", {}),
    ("get_trace_settings", {"model_name": "m"}),
    (
        "update_log_settings",
        {"settings": {"log_file": "f", "log_verbose_level": 2, "log_info": True, "log_error": None}},
    ),
    ("get_log_settings", {}),
    ("get_system_shared_memory_status", {"region_name": "r"}),
    ("register_system_shared_memory", {"name": "r", "key": "/k", "byte_size": 64, "offset": 8}),
    ("unregister_system_shared_memory", {}),
    ("get_cuda_shared_memory_status", {}),
    (
        "register_cuda_shared_memory",
        {"name": "r", "raw_handle": base64.b64encode(b"handle"), "device_id": 1, "byte_size": 64},
    ),
    ("unregister_cuda_shared_memory", {"name": "r"}),
]

ANSWERS = {
    "ServerLive": service_pb2.ServerLiveResponse(live=True),
    "ModelReady": service_pb2.ModelReadyResponse(ready=True),
    "ServerMetadata": service_pb2.ServerMetadataResponse(name="triton", extensions=["a"]),
    "ModelConfig": service_pb2.ModelConfigResponse(config={"name": "m", "max_batch_size": 4}),
    "ModelStatistics": service_pb2.ModelStatisticsResponse(
        model_stats=[{"name": "m", "inference_count": 2**40}]
    ),
}


def answer_to(method: str) -> Any:
    return ANSWERS.get(method) or getattr(service_pb2, method + "Response")()


class OurChannel:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def call(self, *args: Any) -> bytes:
        self.calls.append(args)
        return bytes(answer_to(args[0].removeprefix(SERVICE)).SerializeToString())

    def close(self) -> None: ...


class TheirStub:
    """In the place of grpcio's stub: keeps the request of whichever method is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, method: str) -> Any:
        def call(request: Any, **_: Any) -> Any:
            self.calls.append((method, request))
            return answer_to(method)

        return call


def their_client(stub: TheirStub) -> theirs.InferenceServerClient:
    client = theirs.InferenceServerClient("localhost:1")
    client._client_stub = stub
    return client


AS_JSON = [
    (name, {**arguments, "as_json": True}) for name, arguments in CALLS if name[:4] in ("get_", "upda")
]


@pytest.mark.parametrize(("name", "arguments"), CALLS + AS_JSON)
def test_same_request_and_same_answer(name: str, arguments: dict[str, Any]) -> None:
    stub, channel = TheirStub(), OurChannel()
    with their_client(stub) as client:
        want = getattr(client, name)(**arguments)
    with ours.InferenceServerClient("nowhere:1", channel=channel) as client:
        have = getattr(client, name)(**arguments, headers={"X-A": "b"}, client_timeout=2.5)
    ((method, request),) = stub.calls
    ((path, message, timeout_ns, headers),) = channel.calls
    assert path == SERVICE + method
    assert type(request).FromString(message) == request
    assert (timeout_ns, headers) == (2_500_000_000, ((b"x-a", b"b"),))
    assert have == want


def test_every_control_call_is_tried() -> None:
    tried = {name for name, _ in CALLS}
    others = {"infer", "async_infer", "start_stream", "stop_stream", "async_stream_infer", "close"}
    others |= {"plugin", "register_plugin", "unregister_plugin"}
    assert {name for name in dir(theirs.InferenceServerClient) if not name.startswith("_")} - others == tried


def test_a_version_must_be_a_string() -> None:
    client = ours.InferenceServerClient("nowhere:1", channel=OurChannel())
    with pytest.raises(ours.InferenceServerException, match="model version must be a string"):
        client.get_model_config("m", 1)  # type: ignore[arg-type]
