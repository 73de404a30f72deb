"""The user's own data: how they are cut into requests, and what is said when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from triton_users.inputs import (
    ArraySource,
    FunctionSource,
    InputError,
    ModelSpec,
    TensorSpec,
    request_classes,
)
from triton_users.step import RequestClass

INPUTS = (TensorSpec("A", "FP32", (-1,)), TensorSpec("B", "BYTES", (2,)))
SPEC = ModelSpec("m", "", 8, INPUTS, ())
UNBATCHED = ModelSpec("m", "", 0, INPUTS, ())
STRINGS = np.array([b"x", "y"], object)
RNG = np.random.default_rng(0)


def test_one_sample_serves_the_whole_batch() -> None:
    source = ArraySource(SPEC, {"A": np.zeros(3, np.float32), "B": STRINGS})
    ((cls, _),) = request_classes(SPEC, batches=[(5, 1.0)], known=source.shapes(5))
    made = source(RNG, cls, 0)
    assert made["A"].shape == (5, 3)
    assert made["B"].tolist() == [[b"x", "y"]] * 5
    assert source.distinct(cls) == 1


def test_without_batching_every_sample_is_a_request() -> None:
    source = ArraySource(UNBATCHED, {"A": np.arange(6, dtype=np.float32).reshape(3, 2), "B": STRINGS})
    ((cls, _),) = request_classes(UNBATCHED, known=source.shapes(1))
    assert source.distinct(cls) == 3
    assert source(RNG, cls, 1)["A"].tolist() == [2, 3]
    assert source(RNG, cls, 1)["B"].tolist() == STRINGS.tolist()


def test_scalars() -> None:
    spec = ModelSpec("m", "", 0, (TensorSpec("S", "BYTES", ()),), ())
    source = ArraySource(spec, {"S": np.array([b"one", b"two"], object)})
    ((cls, _),) = request_classes(spec, known=source.shapes(1))
    assert source(RNG, cls, 1)["S"].tolist() == b"two"


def test_all_faults_of_arrays_at_once() -> None:
    with pytest.raises(InputError) as caught:
        ArraySource(SPEC, {"A": np.zeros((2, 3, 4)), "Z": np.zeros(1)})
    assert caught.value.faults == (
        "Z: m has no such input",
        "B: no data",
        "A: type FP64, expected FP32",
        "A: shape [2, 3, 4] fits neither one sample, [-1], nor several, ['n', -1]",
    )
    assert "takes, shapes without the batch dimension: A FP32 [-1]; B BYTES [2]" in str(caught.value)


def test_samples_that_do_not_pair_and_elements_that_are_no_strings() -> None:
    with pytest.raises(InputError) as caught:
        ArraySource(
            SPEC,
            {"A": np.zeros((2, 3), np.float32), "B": np.array([[b"x", 1], [b"", b""], [b"", b""]], object)},
        )
    assert caught.value.faults == (
        "B: every element must be str or bytes",
        "inputs must hold equally many samples, not A: 2, B: 3",
    )


def test_arrays_of_another_shape_than_the_class() -> None:
    source = ArraySource(SPEC, {"A": np.zeros(3, np.float32), "B": STRINGS})
    with pytest.raises(InputError, match=r"A: shape \[1, 3\], expected \[1, 4\]"):
        source(RNG, RequestClass("m", 1, (("A", (4,)), ("B", (2,)))), 0)


def test_optional_inputs_are_in_class_and_data_or_in_neither() -> None:
    spec = ModelSpec(
        "m", "", 0, (TensorSpec("A", "FP32", (1,)), TensorSpec("X", "FP32", (1,), optional=True)), ()
    )
    one = np.zeros(1, np.float32)
    ((without, _),) = request_classes(spec)
    ((including, _),) = request_classes(spec, shapes={"X": (1,)})
    assert set(ArraySource(spec, {"A": one, "X": one})(RNG, including, 0)) == {"A", "X"}
    with pytest.raises(InputError, match="X: data, but its shape is not in the request class"):
        ArraySource(spec, {"A": one, "X": one})(RNG, without, 0)
    with pytest.raises(InputError, match="X: no data"):
        ArraySource(spec, {"A": one})(RNG, including, 0)


def test_a_function_is_called_for_each_input() -> None:
    def function(rng: np.random.Generator, batch_size: int) -> dict[str, np.ndarray]:
        return {"A": rng.random((batch_size, 3), np.float32), "B": np.full((batch_size, 2), "s", object)}

    source = FunctionSource(SPEC, function)
    ((cls, _),) = request_classes(SPEC, batches=[(2, 1.0)], known=source.shapes(2))
    assert cls.input_shapes == (("A", (3,)), ("B", (2,)))
    assert (source(RNG, cls, 0)["A"] != source(RNG, cls, 1)["A"]).any()
    assert source.distinct(cls) is None


def test_faults_of_a_function() -> None:
    with pytest.raises(InputError, match=r"must return .* not list"):
        FunctionSource(SPEC, lambda _rng, _batch: [1]).shapes(1)  # type: ignore[arg-type,return-value]
    with pytest.raises(InputError) as caught:
        FunctionSource(SPEC, lambda _rng, _batch: {"A": np.zeros(3, np.float32)}).shapes(1)
    assert caught.value.faults == ("B: no data", "A: shape [3], expected [1, -1]")
