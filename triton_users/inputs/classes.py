"""From what the user asks for (batch sizes, shapes, mixes) to request classes and their weights."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from triton_users.inputs.faults import check
from triton_users.inputs.model import ModelSpec
from triton_users.step import RequestClass

Classes = tuple[tuple[RequestClass, float], ...]
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
ShapeMix = Sequence[tuple[Sequence[tuple[str, Shape]], float]]


def request_classes(
    spec: ModelSpec,
    *,
    batches: Sequence[tuple[int, float]] = ((1, 1.0),),
    shapes: Shapes | None = None,
    shape_mix: ShapeMix = (),
    known: Shapes | None = None,
) -> Classes:
    """Every batch size with every entry of the shape mix, weighted by the product of their weights.

    ``batches`` are (batch size, weight), ``shapes`` are fixed ones by input name, ``shape_mix`` is
    ((name, shape)…, weight). No shape has the batch dimension. ``known`` are shapes that the user's data
    decide (``Source.shapes``).
    Raises InputError with all faults: batch sizes, unknown inputs, shapes that do not fit, open ones.
    """
    faults = [fault for size, _ in batches if (fault := _batch_fault(spec, size))]
    fixed = dict(shapes or {})
    for name, shape in (known or {}).items():
        if fixed.setdefault(name, shape) != shape:
            faults.append(f"{name}: --shape says {list(fixed[name])}, but the data have {list(shape)}")
    mix = shape_mix or [((), 1.0)]
    complete = [(_complete(spec, fixed, dict(entry), faults), weight) for entry, weight in mix]
    check(list(dict.fromkeys(faults)), spec.expected)
    weights: dict[RequestClass, float] = {}
    for (size, batch_weight), (sorted_shapes, shape_weight) in itertools.product(batches, complete):
        cls = RequestClass(spec.name, size, sorted_shapes)
        weights[cls] = weights.get(cls, 0.0) + batch_weight * shape_weight
    return tuple(weights.items())


def _batch_fault(spec: ModelSpec, size: int) -> str | None:
    if size < 1:
        return f"batch size {size}: must be at least 1"
    if not spec.batching and size > 1:
        return f"batch size {size}: {spec.name} does not batch (max_batch_size is 0)"
    if spec.batching and size > spec.max_batch_size:
        return f"batch size {size}: {spec.name} takes at most {spec.max_batch_size} (max_batch_size)"
    return None


def _complete(
    spec: ModelSpec, fixed: Shapes, entry: Shapes, faults: list[str]
) -> tuple[tuple[str, Shape], ...]:
    """The shapes of all inputs sent for one entry of the mix, sorted by name.

    Optional inputs are sent only when somebody names them.
    """
    faults += [f"{name}: has a shape in the mix and another besides" for name in entry if name in fixed]
    asked = {**fixed, **entry}
    faults += [f"{name}: {spec.name} has no such input" for name in asked if spec.input(name) is None]
    chosen: dict[str, Shape] = {}
    for tensor in spec.inputs:
        shape = asked.get(tensor.name)
        if shape is None:
            if tensor.optional:
                continue
            if tensor.variable:
                faults.append(
                    f"{tensor.name}: shape {list(tensor.shape)} is variable: say which to send, "
                    f"--shape {tensor.name}:{','.join(str(max(dim, 1)) for dim in tensor.shape)} for example"
                )
            shape = tensor.shape
        elif not tensor.accepts(shape):
            hint = ""
            if spec.batching and tensor.accepts(shape[1:]):
                hint = " (leave out the batch dimension)"
            faults.append(
                f"{tensor.name}: shape {list(shape)} does not fit, expected {list(tensor.shape)}{hint}"
            )
        chosen[tensor.name] = shape
    return tuple(sorted(chosen.items()))
