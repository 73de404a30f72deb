"""From Triton's own messages to a ModelSpec."""

from __future__ import annotations

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from triton_users.inputs import InputError, TensorSpec, model_spec


def messages(max_batch_size: int, dtype: str = "FP32") -> tuple[object, object]:
    metadata = service_pb2.ModelMetadataResponse(name="m", versions=["1", "3"])
    batch = [-1] if max_batch_size else []
    metadata.inputs.add(name="A", datatype=dtype, shape=[*batch, -1, 16])
    metadata.inputs.add(name="B", datatype="BYTES", shape=[*batch, 1])
    metadata.outputs.add(name="C", datatype="INT64", shape=[*batch, 2])
    config = model_config_pb2.ModelConfig(name="m", max_batch_size=max_batch_size)
    config.input.add(name="A")
    config.input.add(name="B", optional=True)
    return metadata, config


@pytest.mark.parametrize("max_batch_size", [0, 8])
def test_shapes_are_without_the_batch_dimension(max_batch_size: int) -> None:
    spec = model_spec(*messages(max_batch_size))
    assert spec.inputs == (TensorSpec("A", "FP32", (-1, 16)), TensorSpec("B", "BYTES", (1,), optional=True))
    assert spec.outputs == (TensorSpec("C", "INT64", (2,)),)
    assert spec.batching == bool(max_batch_size)
    assert spec.full_shape((4, 16), 3) == ((3, 4, 16) if max_batch_size else (4, 16))
    assert "A FP32 [-1, 16]; B BYTES [1] (optional)" in spec.expected


def test_takes_the_config_as_the_server_wraps_it() -> None:
    metadata, config = messages(4)
    spec = model_spec(metadata, service_pb2.ModelConfigResponse(config=config), version="3")
    assert (spec.max_batch_size, spec.version, spec.name) == (4, "3", "m")


def test_a_type_nobody_knows_is_named() -> None:
    with pytest.raises(InputError, match="A has the unknown type FP8"):
        model_spec(*messages(0, dtype="FP8"))
