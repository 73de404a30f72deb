"""Options to classes, and every fault at once."""

from __future__ import annotations

import pytest

from triton_users.inputs import InputError, ModelSpec, TensorSpec, request_classes
from triton_users.step import RequestClass

FIXED = TensorSpec("A", "FP32", (2, 3))
OPEN = TensorSpec("in:0", "INT64", (1, -1))
EXTRA = TensorSpec("X", "BYTES", (-1,), optional=True)


def model(*inputs: TensorSpec, max_batch_size: int = 8) -> ModelSpec:
    return ModelSpec("m", "", max_batch_size, inputs, ())


def faults(spec: ModelSpec, **options: object) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        request_classes(spec, **options)  # type: ignore[arg-type]
    assert spec.expected in str(caught.value)
    return caught.value.faults


def test_one_class_by_default() -> None:
    assert request_classes(model(FIXED, EXTRA)) == ((RequestClass("m", 1, (("A", (2, 3)),)), 1.0),)


def test_batch_mix_and_shape_mix_multiply() -> None:
    spec = model(OPEN, FIXED)
    mix = [([("in:0", (1, 64))], 3.0), ([("in:0", (1, 512))], 1.0)]
    classes = request_classes(spec, batches=[(1, 80.0), (8, 20.0)], shape_mix=mix)
    shape = {n: (("A", (2, 3)), ("in:0", (1, n))) for n in (64, 512)}
    assert classes == (
        (RequestClass("m", 1, shape[64]), 240.0),
        (RequestClass("m", 1, shape[512]), 80.0),
        (RequestClass("m", 8, shape[64]), 60.0),
        (RequestClass("m", 8, shape[512]), 20.0),
    )


def test_inputs_whose_shapes_change_together() -> None:
    spec = model(OPEN, TensorSpec("MASK", "INT64", (-1,)))
    mix = [([("in:0", (1, n)), ("MASK", (n,))], 1.0) for n in (4, 9)]
    classes = request_classes(spec, shape_mix=mix)
    assert [dict(c.input_shapes)["MASK"] for c, _ in classes] == [(4,), (9,)]


def test_equal_classes_are_one() -> None:
    assert request_classes(model(FIXED), batches=[(2, 1.0), (2, 3.0)]) == (
        (RequestClass("m", 2, (("A", (2, 3)),)), 4.0),
    )


def test_fixed_shapes_known_shapes_and_optional_inputs() -> None:
    spec = model(OPEN, EXTRA)
    (only,) = request_classes(spec, batches=[(4, 1.0)], shapes={"X": (7,)}, known={"in:0": (1, 5)})
    assert only[0] == RequestClass("m", 4, (("X", (7,)), ("in:0", (1, 5))))


def test_every_fault_at_once() -> None:
    got = faults(model(FIXED, OPEN), batches=[(1, 80.0), (9, 20.0)], shapes={"A": (8, 2, 3), "B": (1,)})
    assert [fault.split(": ")[0] for fault in got] == ["batch size 9", "B", "A", "in:0"]
    assert "takes at most 8" in got[0]
    assert "leave out the batch dimension" in got[2]
    assert "expected [2, 3]" in got[2]
    assert "--shape in:0:1,1 for example" in got[3]


def test_batches_on_a_model_that_does_not_batch() -> None:
    (fault,) = faults(model(FIXED, max_batch_size=0), batches=[(4, 1.0)])
    assert "does not batch" in fault
    assert "at least 1" in faults(model(FIXED), batches=[(0, 1.0)])[0]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (
            {"shapes": {"in:0": (1, 2)}, "shape_mix": [([("in:0", (1, 3))], 1.0)]},
            "in the mix and another",
        ),
        ({"shapes": {"in:0": (1, 2)}, "known": {"in:0": (1, 3)}}, "the data have"),
    ],
)
def test_contradictions(options: dict[str, object], word: str) -> None:
    assert any(word in fault for fault in faults(model(OPEN), **options))
