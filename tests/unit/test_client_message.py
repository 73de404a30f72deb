"""Our requests, read back, are the ones that tritonclient makes of the same arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import _get_inference_request

import triton_users.client as ours
from triton_users.step import RequestClass

DTYPES = ["BOOL", "INT8", "INT64", "UINT16", "UINT64", "FP16", "FP32", "FP64", "BYTES"]
NAMES = st.text(min_size=1, max_size=12)


class Null:
    """A channel that keeps what it is asked and answers with an empty message."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def call(self, *args: Any) -> bytes:
        self.calls.append(args)
        return b""

    def close(self) -> None:
        raise AssertionError("a channel that was given is not ours to close")


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, np.ndarray]:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(max_dims=3, max_side=4))
    if dtype == "BYTES":
        array = np.empty(shape, object)
        array.reshape(-1)[:] = draw(st.lists(st.binary(max_size=9), min_size=array.size, max_size=array.size))
        return dtype, array
    return dtype, draw(hnp.arrays(theirs.triton_to_np_dtype(dtype), shape))


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, Any]:
    """How to make an input: with an array, in shared memory, or with nothing yet."""
    dtype, array = draw(arrays())
    memory = draw(st.none() | st.tuples(NAMES, st.integers(1, 1000), st.integers(0, 3)))
    data = draw(st.booleans())
    return {"name": draw(NAMES), "dtype": dtype, "array": array, "memory": memory, "data": data}


def make_input(module: Any, how: dict[str, Any]) -> Any:
    made = module.InferInput(how["name"], list(how["array"].shape), how["dtype"])
    if how["memory"]:
        made.set_shared_memory(*how["memory"])
    if how["data"]:
        made.set_data_from_numpy(how["array"])
    return made


def make_output(module: Any, how: tuple[str, int, bool]) -> Any:
    name, class_count, memory = how
    made = module.InferRequestedOutput(name, class_count)
    if memory and not class_count:
        made.set_shared_memory("region", 64, 8)
    return made


PARAMETERS = st.dictionaries(
    NAMES.filter(lambda name: name not in theirs.TRITON_RESERVED_REQUEST_PARAMS),
    st.text(max_size=9) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    max_size=3,
)
OPTIONS = st.fixed_dictionaries(
    {
        "model_version": st.sampled_from(["", "1", "12"]),
        "request_id": st.sampled_from(["", "7", "long-and-ünusual"]),
        "sequence_id": st.sampled_from([0, "", 5, "five"]),
        "sequence_start": st.booleans(),
        "sequence_end": st.booleans(),
        "priority": st.sampled_from([0, 1, 2**63]),
        "timeout": st.sampled_from([None, 0, 1000]),
        "parameters": st.none() | PARAMETERS,
    }
)


@settings(max_examples=150)
@given(
    NAMES,
    st.lists(inputs(), min_size=1, max_size=3),
    st.none() | st.lists(st.tuples(NAMES, st.integers(0, 2), st.booleans()), max_size=2),
    OPTIONS,
)
def test_a_request_is_the_one_that_tritonclient_makes(
    model: str, ins: list[dict[str, Any]], outs: list[tuple[str, int, bool]] | None, options: dict[str, Any]
) -> None:
    def made(module: Any) -> tuple[list[Any], list[Any] | None]:
        return [make_input(module, how) for how in ins], outs and [make_output(module, how) for how in outs]

    their_ins, their_outs = made(theirs)
    want = _get_inference_request(model_name=model, inputs=their_ins, outputs=their_outs, **options)
    channel = Null()
    client = ours.InferenceServerClient("nowhere:1", channel=channel)
    our_ins, our_outs = made(ours)
    client.infer(model, our_ins, outputs=our_outs, **options)
    client.infer(model, our_ins, outputs=our_outs, **options)  # from what was kept
    client.infer(model, their_ins, outputs=their_outs, **options)  # theirs are welcome
    assert len(channel.calls) == 3
    for path, message, _, _ in channel.calls:
        assert path == "/inference.GRPCInferenceService/ModelInfer"
        assert service_pb2.ModelInferRequest.FromString(message) == want


def sent(client: ours.InferenceServerClient, *args: Any, **options: Any) -> Any:
    client.infer(*args, **options)
    return service_pb2.ModelInferRequest.FromString(client._channel.calls[-1][1])


@pytest.fixture
def client() -> ours.InferenceServerClient:
    return ours.InferenceServerClient("nowhere:1", channel=Null())


@pytest.mark.parametrize("elements", [4, 10_000])
def test_setters_are_seen_by_the_next_request(client: ours.InferenceServerClient, elements: int) -> None:
    tensor = ours.InferInput("A", [1, elements], "FP32")
    output = ours.InferRequestedOutput("B")
    values = np.arange(elements, dtype=np.float32).reshape(1, -1)
    for array in (values, values + 1):
        tensor.set_data_from_numpy(array)
        assert sent(client, "m", [tensor], outputs=[output]).raw_input_contents == [array.tobytes()]
    tensor.set_shape([elements]).set_data_from_numpy(values[0])
    assert sent(client, "m", [tensor]).inputs[0].shape == [elements]
    tensor.shape().append(7)
    assert tensor.shape() == [elements]
    tensor.set_shared_memory("region", 16)
    assert sent(client, "m", [tensor]).raw_input_contents == []
    output.set_shared_memory("region", 16)
    assert len(sent(client, "m", [tensor], outputs=[output]).outputs[0].parameters) == 2
    output.unset_shared_memory()
    assert len(sent(client, "m", [tensor], outputs=[output]).outputs[0].parameters) == 0


def test_a_large_request_is_joined_once(client: ours.InferenceServerClient) -> None:
    def large(name: str) -> ours.InferInput:
        return ours.InferInput(name, [9000], "FP32").set_data_from_numpy(np.ones(9000, np.float32))

    first, second = large("A"), large("B")
    for model, tensors in [("m", [first, second])] * 2 + [("n", [first, second]), ("m", [first])]:
        client.infer(model, tensors)
    messages = [call[1] for call in client._channel.calls]  # type: ignore[attr-defined]
    assert messages[0] is messages[1]
    requests = [service_pb2.ModelInferRequest.FromString(message) for message in messages[1:]]
    assert [(r.model_name, len(r.inputs)) for r in requests] == [("m", 2), ("n", 2), ("m", 1)]


def test_faults_in_the_arguments(client: ours.InferenceServerClient) -> None:
    tensor = ours.InferInput("A", [1], "FP32").set_data_from_numpy(np.ones(1, np.float32))
    for options, words in [
        ({"model_version": 1}, "model version must be a string"),
        ({"parameters": {"priority": 1}}, "'priority' is reserved"),
        ({"parameters": {"triton_x": 1}}, "'triton_x' is reserved"),
        ({"parameters": {"x": [1]}}, "'x' must be str, bool, int or float, not list"),
        ({"compression_algorithm": "gzip"}, "compression is not supported"),
    ]:
        with pytest.raises(ours.InferenceServerException, match=words):
            client.infer("m", [tensor], **options)
    with pytest.raises(ours.InferenceServerException):
        tensor.set_data_from_numpy(np.ones(2, np.float32))


def test_the_class_of_a_request() -> None:
    seen: list[RequestClass | None] = []

    class Engine(ours.InferenceServerClient):
        _needs_class = True

        def _send(
            self, message: bytes, cls: RequestClass | None, deadline_ns: int | None, headers: Any
        ) -> bytes:
            seen.append(cls)
            return b""

    class Config(Null):
        def call(self, *args: Any) -> bytes:
            super().call(*args)
            message = service_pb2.ModelConfigRequest.FromString(args[1])
            answer = service_pb2.ModelConfigResponse()
            answer.config.max_batch_size = 8 if message.name == "batched" else 0
            return bytes(answer.SerializeToString())

    channel = Config()
    client = Engine("nowhere:1", channel=channel)
    b, a = ours.InferInput("B", [4, 3], "FP32"), ours.InferInput("A", [4], "BYTES")
    for model in ("batched", "batched", "plain"):
        client.infer(model, [b, a])
    b.set_shape([2, 3])
    client.infer("plain", [b, theirs.InferInput("A", [4], "BYTES")])
    batched = RequestClass("batched", 4, (("A", ()), ("B", (3,))))
    assert seen == [
        batched,
        batched,
        RequestClass("plain", 1, (("A", (4,)), ("B", (4, 3)))),
        RequestClass("plain", 1, (("A", (4,)), ("B", (2, 3)))),
    ]
    assert seen[0] is seen[1]
    assert [call[0].rpartition("/")[2] for call in channel.calls] == ["ModelConfig"] * 2
