"""Input data that the user gave: arrays, or a function that makes them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping

import numpy as np

from triton_users.inputs.faults import InputError, check
from triton_users.inputs.generate import Arrays
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.tensors import BYTES, Array, TensorSpec, dtype_fits, shape_fits, triton_dtype
from triton_users.step import RequestClass

InputFunction = Callable[[np.random.Generator, int], Arrays]


class ArraySource:
    """The user's arrays, by input name.

    An array of a sample's shape serves every sample. An array with one dimension more holds samples along its
    first axis; requests take them in order, a batch at a time, and start over at the end. Inputs that hold
    several samples must hold equally many: sample i of each belong together. Raises InputError with every
    fault in names, types and shapes.
    """

    def __init__(self, spec: ModelSpec, arrays: Mapping[str, object]) -> None:
        self._spec = spec
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        faults = _name_faults(spec, self._arrays)
        counts: dict[str, int] = {}
        for name, tensor, array in _known(spec, self._arrays):
            faults += _dtype_faults(tensor, array)
            samples = array.ndim == len(tensor.shape) + 1
            sample_shape = array.shape[1:] if samples else array.shape
            if not tensor.accepts(sample_shape) or array.size == 0:
                faults.append(
                    f"{name}: shape {list(array.shape)} fits neither one sample, {list(tensor.shape)}, "
                    f"nor several, {['n', *tensor.shape]}"
                )
            elif samples:
                counts[name] = len(array)
        if len(set(counts.values())) > 1:
            faults.append("inputs must hold equally many samples, not " + _listed(counts))
        check(faults, spec.expected)
        self._count = next(iter(counts.values()), 1)
        self._several = frozenset(counts)

    def __call__(self, rng: np.random.Generator, cls: RequestClass, index: int) -> Arrays:
        picks = np.arange(index * cls.batch_size, (index + 1) * cls.batch_size) % self._count
        made = {name: self._batch(name, array, picks) for name, array in self._arrays.items()}
        check(request_faults(self._spec, cls, made), self._spec.expected)
        return made

    def _batch(self, name: str, array: Array, picks: Array) -> Array:
        if name in self._several:
            taken: Array = array[picks] if self._spec.batching else array[picks[0]]
            # An element taken out of an array of objects comes without its array.
            return taken if isinstance(taken, np.ndarray) else np.array(taken, array.dtype)
        return np.broadcast_to(array, (len(picks), *array.shape)) if self._spec.batching else array

    def distinct(self, cls: RequestClass) -> int | None:
        return self._count // math.gcd(self._count, cls.batch_size)

    def shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        return {n: a.shape[1:] if n in self._several else a.shape for n, a in self._arrays.items()}


class FunctionSource:
    """A function of the user's, ``function(rng, batch_size) -> {name: array}``, called once for each input.

    Arrays have the batch dimension if the model has one. What it returns must always fit the class.
    """

    def __init__(self, spec: ModelSpec, function: InputFunction) -> None:
        self._spec = spec
        self._function = function

    def __call__(self, rng: np.random.Generator, cls: RequestClass, index: int) -> Arrays:
        made = self._call(rng, cls.batch_size)
        check(request_faults(self._spec, cls, made), self._spec.expected)
        return made

    def _call(self, rng: np.random.Generator, batch_size: int) -> Arrays:
        try:
            made: object = self._function(rng, batch_size)  # whatever the user's code returns
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            fault = (
                f"the input function raised {type(error).__name__}: {error} "
                f"({where.filename}, line {where.lineno})"
            )
            raise InputError([fault], self._spec.expected) from error
        if not isinstance(made, Mapping):
            fault = f"the input function must return {{name: array}}, not {type(made).__name__}"
            raise InputError([fault], self._spec.expected)
        return {name: np.asarray(array) for name, array in made.items()}

    def distinct(self, cls: RequestClass) -> int | None:
        return None

    def shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """From one call of the function. Raises InputError if it does not fit the model."""
        made = self._call(np.random.default_rng(0), batch_size)
        # Against a class without shapes: the model's own shapes are the measure.
        check(
            request_faults(self._spec, RequestClass(self._spec.name, batch_size), made), self._spec.expected
        )
        return {name: array.shape[1:] if self._spec.batching else array.shape for name, array in made.items()}


def request_faults(spec: ModelSpec, cls: RequestClass, arrays: Arrays) -> list[str]:
    """What is wrong with one request's arrays (batch dimension included), measured by its class, and by
    the model where the class leaves the shape open."""
    faults = _name_faults(spec, arrays)
    shapes = dict(cls.input_shapes)
    for tensor in spec.inputs:
        if tensor.optional and shapes and (tensor.name in shapes) != (tensor.name in arrays):
            what = "no data" if tensor.name in shapes else "data, but its shape is not in the request class"
            faults.append(f"{tensor.name}: {what}")
    for name, tensor, array in _known(spec, arrays):
        faults += _dtype_faults(tensor, array)
        want = spec.full_shape(shapes.get(name, tensor.shape), cls.batch_size)
        if not shape_fits(array.shape, want):
            faults.append(f"{name}: shape {list(array.shape)}, expected {list(want)}")
    return faults


def _name_faults(spec: ModelSpec, arrays: Arrays) -> list[str]:
    names = {tensor.name for tensor in spec.inputs}
    unknown = [f"{name}: {spec.name} has no such input" for name in arrays if name not in names]
    missing = [f"{t.name}: no data" for t in spec.inputs if not t.optional and t.name not in arrays]
    return unknown + missing


def _dtype_faults(tensor: TensorSpec, array: Array) -> list[str]:
    if dtype_fits(array, tensor.dtype):
        return []
    have = triton_dtype(array.dtype)
    if have == BYTES == tensor.dtype:
        return [f"{tensor.name}: every element must be str or bytes"]
    return [f"{tensor.name}: type {have or array.dtype}, expected {tensor.dtype}"]


def _known(spec: ModelSpec, arrays: Arrays) -> list[tuple[str, TensorSpec, Array]]:
    return [(name, tensor, array) for name, array in arrays.items() if (tensor := spec.input(name))]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
