"""The ONNX writer, read back by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from triton_users.demo import onnx_file

onnxruntime = pytest.importorskip("onnxruntime")


def test_nodes_constants_and_attributes_arrive() -> None:
    constant = np.arange(300, dtype=np.float32).reshape(2, 150)
    network = onnx_file.model(
        "small",
        [
            onnx_file.node("Add", ["x", "constant"], "sum", {}),
            onnx_file.node("Transpose", ["sum"], "y", {"perm": [1, 0]}),
        ],
        [onnx_file.tensor("constant", constant)],
        [onnx_file.value_info("x", [2, 150])],
        [onnx_file.value_info("y", ["N", 2])],
    )
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [2, 150]
    assert session.get_outputs()[0].shape[1] == 2
    x = np.ones((2, 150), np.float32)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], (x + constant).T)


def test_only_two_types_of_constants() -> None:
    with pytest.raises(KeyError):
        onnx_file.tensor("constant", np.zeros(2, np.float64))
