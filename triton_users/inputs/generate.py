"""Input data that nobody gave: random or zero. The user's own are in given.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from triton_users.inputs.model import ModelSpec
from triton_users.inputs.tensors import BF16, BYTES, NUMPY_DTYPES, Array, TensorSpec
from triton_users.step import RequestClass

Arrays = Mapping[str, Array]

STRING_LENGTH = 128
"""Default number of characters of a generated string."""

INT_LIMIT = 128
"""Random integers lie in [0, INT_LIMIT): every integer type holds them, and a model that uses them as an
index (a token id, a category) is likely to have such an entry, where the full range would give errors."""

_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", np.uint8)
_FRACTION_STEPS = {"FP16": 2048, BF16: 256}
"""Fractions i / n are exact in these types, so that rounding never gives 1."""


class Source(Protocol):
    """Makes the arrays of one request after the other."""

    def __call__(self, rng: np.random.Generator, cls: RequestClass, index: int) -> Arrays:
        """Input number ``index`` (from 0) of class ``cls``, with the batch dimension, ready to be encoded.

        Raises InputError if the user's data do not fit the class.
        """

    def distinct(self, cls: RequestClass) -> int | None:
        """How many different inputs of this class there are; None: as many as one likes."""

    def shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        """The input shapes that the data themselves decide, without the batch dimension."""


class RandomSource:
    """Fractions in [0, 1), integers in [0, INT_LIMIT), strings of ``string_length`` letters and digits."""

    def __init__(self, spec: ModelSpec, string_length: int = STRING_LENGTH) -> None:
        self._spec = spec
        self._string_length = string_length

    def __call__(self, rng: np.random.Generator, cls: RequestClass, index: int) -> Arrays:
        return {
            tensor.name: _random(rng, tensor, shape, self._string_length)
            for tensor, shape in _tensors(self._spec, cls)
        }

    def distinct(self, cls: RequestClass) -> int | None:
        return None

    def shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        return {}


class ZeroSource:
    """Zeros, False, and strings of ``string_length`` digits 0."""

    def __init__(self, spec: ModelSpec, string_length: int = STRING_LENGTH) -> None:
        self._spec = spec
        self._zero_string = b"0" * string_length

    def __call__(self, rng: np.random.Generator, cls: RequestClass, index: int) -> Arrays:
        return {
            tensor.name: np.full(shape, self._zero_string, object)
            if tensor.dtype == BYTES
            else np.zeros(shape, NUMPY_DTYPES[tensor.dtype])
            for tensor, shape in _tensors(self._spec, cls)
        }

    def distinct(self, cls: RequestClass) -> int | None:
        return 1

    def shapes(self, batch_size: int) -> dict[str, tuple[int, ...]]:
        return {}


def _tensors(spec: ModelSpec, cls: RequestClass) -> list[tuple[TensorSpec, tuple[int, ...]]]:
    """The inputs that the class sends, with the shape sent."""
    shapes = dict(cls.input_shapes)
    return [
        (tensor, spec.full_shape(shapes[tensor.name], cls.batch_size))
        for tensor in spec.inputs
        if tensor.name in shapes
    ]


def _random(
    rng: np.random.Generator, tensor: TensorSpec, shape: tuple[int, ...], string_length: int
) -> Array:
    dtype = NUMPY_DTYPES[tensor.dtype]
    if tensor.dtype == BYTES:
        return _random_strings(rng, shape, string_length)
    if steps := _FRACTION_STEPS.get(tensor.dtype):
        return (rng.integers(0, steps, shape, np.uint16) / np.float32(steps)).astype(dtype)
    if dtype.kind == "f":
        return rng.random(shape, np.float32) if dtype.itemsize == 4 else rng.random(shape, np.float64)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape, np.uint8).astype(dtype)
    return rng.integers(0, INT_LIMIT, shape, np.uint8).astype(dtype)


def _random_strings(rng: np.random.Generator, shape: tuple[int, ...], length: int) -> Array:
    made = np.empty(shape, object)
    text = _LETTERS[rng.integers(0, len(_LETTERS), made.size * length, np.uint8)].tobytes()
    made.reshape(-1)[:] = [text[i * length : (i + 1) * length] for i in range(made.size)]
    return made
