"""Results are decoded late, and as tritonclient decodes them."""

from __future__ import annotations

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

import triton_users.client as ours

MESSAGE = service_pb2.ModelInferResponse(model_name="m", id="7")
MESSAGE.outputs.add(name="A", datatype="FP32", shape=[1, 2])
MESSAGE.outputs.add(name="B", datatype="BYTES", shape=[2])
MESSAGE.raw_output_contents.extend([np.float32([1, 2]).tobytes(), b"\x01\x00\x00\x00x\x00\x00\x00\x00"])


@pytest.mark.parametrize("given", [MESSAGE, MESSAGE.SerializeToString()])
def test_reads_bytes_and_messages(given: object) -> None:
    result = ours.InferResult(given)
    np.testing.assert_array_equal(result.as_numpy("A"), np.float32([[1, 2]]))
    assert result.as_numpy("B").tolist() == [b"x", b""]
    assert result.as_numpy("C") is None
    assert result.get_response() == MESSAGE
    assert result.get_response(as_json=True)["id"] == "7"
    assert result.get_output("A") == MESSAGE.outputs[0]
    assert result.get_output("A", as_json=True) == {"name": "A", "datatype": "FP32", "shape": ["1", "2"]}
    assert result.get_output("C", as_json=True) is None


def test_nothing_is_decoded_before_it_is_wanted() -> None:
    result = ours.InferResult(b"\xff not a message")
    with pytest.raises(Exception, match="parsing"):
        result.get_response()
