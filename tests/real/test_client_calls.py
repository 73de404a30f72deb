"""Each wrapper once against a real Triton, on our own channel."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import gevent
import numpy as np
import pytest
from tritonclient.utils import shared_memory

import triton_users.client as grpcclient
from triton_users.inputs import Payloads, RandomSource, model_spec, request_classes
from triton_users.inputs.tensors import NUMPY_DTYPES


@pytest.fixture
def client(triton: Any) -> Iterator[grpcclient.InferenceServerClient]:
    with grpcclient.InferenceServerClient(triton.url) as client:
        yield client


def identity_input(values: np.ndarray) -> grpcclient.InferInput:
    return grpcclient.InferInput("INPUT0", values.shape, "FP32").set_data_from_numpy(values)


def test_server(client: grpcclient.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready(client_timeout=5.0, headers={"X-Note": "smoke"})
    assert client.get_server_metadata().name == "triton"
    assert "statistics" in client.get_server_metadata(as_json=True)["extensions"]


def test_models(client: grpcclient.InferenceServerClient) -> None:
    assert client.is_model_ready("identity")
    assert not client.is_model_ready("no-such-model")
    assert client.get_model_metadata("identity").inputs[0].datatype == "FP32"
    assert client.get_model_config("identity", as_json=True)["config"]["max_batch_size"] == 64
    assert "identity" in {model.name for model in client.get_model_repository_index().models}
    with pytest.raises(grpcclient.InferenceServerException, match="no-such-model") as caught:
        client.get_model_metadata("no-such-model")
    assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_statistics(client: grpcclient.InferenceServerClient) -> None:
    def count() -> int:
        (stats,) = client.get_inference_statistics("identity").model_stats
        return int(stats.inference_stats.success.count)

    before = count()
    client.infer("identity", [identity_input(np.ones((1, 4), np.float32))])
    with gevent.Timeout(5):  # Triton counts after it has answered
        while count() == before:
            gevent.sleep(0.01)
    assert count() == before + 1


def test_settings(client: grpcclient.InferenceServerClient) -> None:
    traces = client.get_trace_settings(as_json=True)["settings"]
    assert client.update_trace_settings(settings={"trace_rate": traces["trace_rate"]["value"]}).settings
    verbose = client.get_log_settings().settings["log_verbose_level"].uint32_param
    assert client.update_log_settings({"log_verbose_level": verbose}, as_json=True)["settings"]


def test_load_and_unload(client: grpcclient.InferenceServerClient) -> None:
    client.unload_model("types")
    with gevent.Timeout(30):  # the answer comes before the instance is gone
        while client.is_model_ready("types"):
            gevent.sleep(0.01)
    client.load_model("types")
    assert client.is_model_ready("types")
    with pytest.raises(grpcclient.InferenceServerException, match="no-such-model"):
        client.load_model("no-such-model")


def test_infer(client: grpcclient.InferenceServerClient) -> None:
    values = np.random.default_rng(0).random((2, 16), np.float32)
    tensor = identity_input(values)
    outputs = [grpcclient.InferRequestedOutput("OUTPUT0")]
    for request_id in ("", "seven"):
        result = client.infer("identity", [tensor], "1", outputs, request_id, client_timeout=10.0)
        np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values)
        assert result.get_response().id == request_id
    with pytest.raises(grpcclient.InferenceServerException) as caught:
        client.infer("identity", [])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_infer_large(client: grpcclient.InferenceServerClient) -> None:
    picture = np.zeros((1, 1, 224, 224), np.float32)
    tensor = grpcclient.InferInput("input", picture.shape, "FP32").set_data_from_numpy(picture)
    assert client.infer("espcn", [tensor]).as_numpy("output").shape == (1, 1, 672, 672)


def test_async_infer(client: grpcclient.InferenceServerClient) -> None:
    outcomes: list[tuple[Any, Any]] = []
    values = [np.full((1, 4), i, np.float32) for i in range(8)]
    contexts = [
        client.async_infer(
            "identity", [identity_input(v)], lambda result, error: outcomes.append((result, error))
        )
        for v in values
    ]
    for context, want in zip(contexts, values, strict=True):
        np.testing.assert_array_equal(context.get_result(timeout=10).as_numpy("OUTPUT0"), want)
    assert len(outcomes) == 8
    assert all(error is None for _, error in outcomes)


def unregister(client: grpcclient.InferenceServerClient, name: str) -> None:
    """Triton answers a request before it lets go of the region that it used."""
    for left in reversed(range(100)):
        try:
            client.unregister_system_shared_memory(name)
            break
        except grpcclient.InferenceServerException as error:
            if not left or "currently in use" not in str(error):
                raise
        gevent.sleep(0.02)


def test_system_shared_memory(client: grpcclient.InferenceServerClient) -> None:
    key = f"/triton_users_{uuid.uuid4().hex}"
    values = np.arange(4, dtype=np.float32).reshape(1, 4)
    region = shared_memory.create_shared_memory_region("region", key, values.nbytes)
    try:
        shared_memory.set_shared_memory_region(region, [values])
        client.register_system_shared_memory("region", key, values.nbytes)
        assert "region" in client.get_system_shared_memory_status(as_json=True)["regions"]
        tensor = grpcclient.InferInput("INPUT0", [1, 4], "FP32").set_shared_memory("region", values.nbytes)
        np.testing.assert_array_equal(client.infer("identity", [tensor]).as_numpy("OUTPUT0"), values)
        unregister(client, "region")
        assert not client.get_system_shared_memory_status().regions
    finally:
        shared_memory.destroy_shared_memory_region(region)


def test_cuda_shared_memory(client: grpcclient.InferenceServerClient) -> None:
    """Without a GPU there is no region to share: the server's refusals show that the calls arrive."""
    client.unregister_cuda_shared_memory()
    assert not client.get_cuda_shared_memory_status().regions
    with pytest.raises(grpcclient.InferenceServerException, match="region"):
        client.register_cuda_shared_memory("region", b"AAAA", 0, 64)


def test_every_type_comes_back_as_it_was_encoded(client: grpcclient.InferenceServerClient) -> None:
    spec = model_spec(client.get_model_metadata("types"), client.get_model_config("types"))
    assert {tensor.dtype for tensor in spec.inputs} == set(NUMPY_DTYPES)
    payloads = Payloads.build(
        spec, request_classes(spec, batches=[(1, 1.0), (3, 1.0)]), RandomSource(spec), 2
    )
    request = grpcclient.service_pb2.ModelInferRequest()
    for body in payloads.bodies:
        result = grpcclient.InferResult(client._send(body.message, body.cls, None, ())).get_response()
        request.ParseFromString(body.message)
        sent = {t.name[3:]: raw for t, raw in zip(request.inputs, request.raw_input_contents, strict=True)}
        got = {t.name[4:]: raw for t, raw in zip(result.outputs, result.raw_output_contents, strict=True)}
        assert got == sent
        assert result.outputs[0].shape == [body.cls.batch_size, 4]
