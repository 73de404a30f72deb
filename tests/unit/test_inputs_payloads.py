"""Encoded requests: what they hold, how many there are, and how they are drawn."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import InferResult, service_pb2

from triton_users.inputs import (
    ArraySource,
    FunctionSource,
    InputError,
    ModelSpec,
    Payloads,
    RandomSource,
    TensorSpec,
    ZeroSource,
    request_classes,
)
from triton_users.inputs.tensors import NUMPY_DTYPES
from triton_users.options.values import shape_mix
from triton_users.step import RequestClass

ALL_TYPES = ModelSpec(
    "all",
    "2",
    4,
    tuple(TensorSpec(name, name, (3, -1)) for name in NUMPY_DTYPES),
    (TensorSpec("OUT", "FP32", ()),),
)
ALL_SHAPES = {name: (3, size) for size, name in enumerate(NUMPY_DTYPES, 1)}


def decoded(message: bytes) -> dict[str, np.ndarray]:
    """Tensors of a request, read by tritonclient: a response has the same layout of raw tensors."""
    request = service_pb2.ModelInferRequest.FromString(message)
    response = service_pb2.ModelInferResponse(raw_output_contents=request.raw_input_contents)
    for tensor in request.inputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    result = InferResult(response)
    return {tensor.name: result.as_numpy(tensor.name) for tensor in request.inputs}


class Remembering(RandomSource):
    """Keeps what it made, for comparison."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, string_length=5)
        self.made: list[dict[str, np.ndarray]] = []

    def __call__(self, rng, cls, index):  # type: ignore[no-untyped-def]
        self.made.append(dict(super().__call__(rng, cls, index)))
        return self.made[-1]


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(0, 2**40))
def test_all_types_read_back_as_they_were_made(batch_size: int, seed: int) -> None:
    source = Remembering(ALL_TYPES)
    classes = request_classes(ALL_TYPES, batches=[(batch_size, 1.0)], shapes=ALL_SHAPES)
    payloads = Payloads.build(ALL_TYPES, classes, source, 2, seed, outputs=["OUT"])
    for body, made in zip(payloads.bodies, source.made, strict=True):
        request = service_pb2.ModelInferRequest.FromString(body.message)
        assert (request.model_name, request.model_version) == ("all", "2")
        assert [output.name for output in request.outputs] == ["OUT"]
        read = decoded(body.message)
        assert list(read) == list(NUMPY_DTYPES)
        for name, array in read.items():
            np.testing.assert_array_equal(array, made[name])
            if name in ("FP16", "BF16", "FP32", "FP64"):
                assert (made[name] >= 0).all() and (made[name] < 1).all()
    assert payloads.bodies[0].message != payloads.bodies[1].message


def test_zeros() -> None:
    classes = request_classes(ALL_TYPES, shapes=ALL_SHAPES)
    payloads = Payloads.build(ALL_TYPES, classes, ZeroSource(ALL_TYPES, 3))
    assert list(payloads.counts().values()) == [1]
    assert not payloads.notes  # there are no more
    read = decoded(payloads.bodies[0].message)
    assert set(read.pop("BYTES").ravel()) == {b"000"}
    assert not any(array.astype(bool).any() for array in read.values())


def test_same_seed_same_bytes_whatever_the_count() -> None:
    def messages(count: int, seed: int) -> list[bytes]:
        classes = request_classes(ALL_TYPES, shapes=ALL_SHAPES)
        built = Payloads.build(ALL_TYPES, classes, RandomSource(ALL_TYPES), count, seed)
        return [body.message for body in built.bodies]

    assert messages(3, 7) == messages(5, 7)[:3]
    assert messages(3, 7) != messages(3, 8)
    assert len(set(messages(8, 7))) == 8


FLAT = ModelSpec("flat", "", 8, (TensorSpec("A", "FP32", (-1,)),), ())


def built(mix: str, count: int = 64, budget_bytes: int = 1 << 28) -> Payloads:
    classes = request_classes(FLAT, shape_mix=shape_mix(mix))
    return Payloads.build(FLAT, classes, RandomSource(FLAT), count, 1, budget_bytes=budget_bytes)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 7))
def test_draws_follow_the_weights(weights: list[int], count: int) -> None:
    payloads = built(",".join(f"A:{i + 1}={weight}" for i, weight in enumerate(weights)), count)
    n = 20_000
    picks = (np.arange(n) + 0.5) / n
    drawn = payloads.draw(picks)
    assert drawn.dtype == np.intp
    classes = np.array([body.class_index for body in payloads.bodies])[drawn]
    share = np.bincount(classes, minlength=len(weights)) / n
    np.testing.assert_allclose(share, np.array(weights) / sum(weights), atol=2 / n)
    per_body = np.bincount(drawn, minlength=len(payloads.bodies)) / n
    want = np.repeat(np.array(weights) / sum(weights) / count, count)
    np.testing.assert_allclose(per_body, want, atol=2 / n)


@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1),
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=4),
)
@settings(max_examples=50)
def test_a_draw_is_always_within_its_class(picks: list[float], weights: list[float]) -> None:
    payloads = built(",".join(f"A:{i + 1}={weight!r}" for i, weight in enumerate(weights)), 3)
    near_one = np.nextafter(1.0, 0.0)
    drawn = payloads.draw(
        np.array([*picks, 0.0, near_one, *payloads.edges[:-1], *np.nextafter(payloads.edges[1:], 0)])
    )
    assert (drawn >= 0).all() and (drawn < len(payloads.bodies)).all()
    assert (payloads.draw(np.array(picks)) == drawn[: len(picks)]).all()


def test_the_budget_is_shared_and_kept() -> None:
    payloads = built("A:10=1,A:100000=1", 64, budget_bytes=2_500_000)
    assert list(payloads.counts().values()) == [64, 6]
    assert payloads.notes == (
        "flat b1 [100000]: 6 distinct inputs instead of 64, for all requests of a flow may take 2.38 MiB",
    )
    assert payloads.total_bytes <= 2_500_000
    assert payloads.total_bytes == sum(len(body.message) for body in payloads.bodies)


def test_one_input_of_each_class_even_beyond_the_budget() -> None:
    assert list(built("A:10=1,A:1000=1", 64, budget_bytes=10).counts().values()) == [1, 1]


def test_an_input_larger_than_those_before_does_not_break_the_budget() -> None:
    spec = ModelSpec("m", "", 0, (TensorSpec("S", "BYTES", (1,)),), ())
    sizes = iter([100, 200, 900, 100])
    source = FunctionSource(spec, lambda _rng, _batch: {"S": np.array([b"x" * next(sizes)], object)})
    payloads = Payloads.build(spec, request_classes(spec), source, 4, budget_bytes=1000)
    assert len(payloads.bodies) == 2
    assert payloads.total_bytes <= 1000


def test_building_holds_one_copy_of_each_tensor() -> None:
    """A tensor's array and its message at most, besides what is kept."""
    elements, count = 450_000, 8
    built("A:4=1", 1)  # whatever is imported or cached the first time
    tracemalloc.start()
    payloads = built(f"A:{elements}=1", count)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < payloads.total_bytes + 2 * 4 * elements + 1_000_000


def test_given_samples_make_as_many_inputs_as_there_are() -> None:
    source = ArraySource(FLAT, {"A": np.arange(18, dtype=np.float32).reshape(6, 3)})
    classes = request_classes(FLAT, batches=[(4, 1.0)], known=source.shapes(4))
    payloads = Payloads.build(FLAT, classes, source)
    assert [decoded(body.message)["A"][:, 0].tolist() for body in payloads.bodies] == [
        [0, 3, 6, 9],
        [12, 15, 0, 3],
        [6, 9, 12, 15],
    ]


def test_faults_of_the_call_itself() -> None:
    classes = request_classes(ALL_TYPES, shapes=ALL_SHAPES)
    with pytest.raises(InputError, match=r"NONE: all has no such output\nIt gives: OUT FP32"):
        Payloads.build(ALL_TYPES, classes, RandomSource(ALL_TYPES), outputs=["NONE"])
    with pytest.raises(InputError, match="at least one class"):
        Payloads.build(ALL_TYPES, (), RandomSource(ALL_TYPES))


def test_the_class_of_a_body_is_the_one_asked_for() -> None:
    (body,) = built("A:10=1", 1).bodies
    assert body.cls == RequestClass("flat", 1, (("A", (10,)),))
