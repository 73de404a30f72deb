"""Triton's tensor types: their numpy equivalents and their raw encoding."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BYTES = "BYTES"
BF16 = "BF16"

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    BF16: np.dtype("<f4"),  # numpy has no such type: float32 here, rounded when encoded
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    BYTES: np.dtype(object),
}
"""Each Triton type and the numpy type that stands for it."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a model: ``shape`` is without the batch dimension, -1 where the model leaves it open."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    optional: bool = False

    @property
    def variable(self) -> bool:
        return any(dim < 0 for dim in self.shape)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a sample of this shape (without the batch dimension) fits."""
        return shape_fits(shape, self.shape)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} {list(self.shape)}" + (" (optional)" if self.optional else "")


def shape_fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether the shapes are equal but for dimensions that ``wanted`` leaves open with -1."""
    return len(shape) == len(wanted) and all(
        want in (-1, have) for want, have in zip(wanted, shape, strict=True)
    )


def triton_dtype(dtype: np.dtype[Any]) -> str | None:
    """The Triton type that arrays of this numpy type stand for; None if there is none."""
    if dtype.kind in "OSU":
        return BYTES
    if dtype.name == "bfloat16":
        return BF16
    plain = dtype.newbyteorder("<")
    return next((name for name, own in NUMPY_DTYPES.items() if own == plain and name != BF16), None)


def dtype_fits(array: Array, dtype: str) -> bool:
    """Whether ``array`` can be sent as ``dtype`` as it is. BF16 takes bfloat16 and float32 arrays.

    Objects stand for BYTES only if every one is a str or bytes.
    """
    have = triton_dtype(array.dtype)
    if have == BYTES == dtype and array.dtype.kind == "O":
        return all(isinstance(item, bytes | str) for item in array.ravel())
    return have == dtype or (dtype == BF16 and have == "FP32")


def encode(array: Array, dtype: str) -> bytes | memoryview:
    """The raw bytes of a tensor as Triton reads them: row-major, little endian.

    The result may share the array's memory. BYTES elements each have their length before them (4 bytes);
    strings are sent as UTF-8. The array must satisfy ``dtype_fits``.
    """
    if dtype == BYTES:
        return _encode_strings(array)
    array = _to_bfloat16(array) if dtype == BF16 else array.astype(NUMPY_DTYPES[dtype], copy=False)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _encode_strings(array: Array) -> bytes:
    pack = struct.Struct("<I").pack
    parts: list[bytes] = []
    for item in array.ravel().tolist():
        text = item.encode() if isinstance(item, str) else bytes(item)
        parts.append(pack(len(text)))
        parts.append(text)
    return b"".join(parts)


def _to_bfloat16(array: Array) -> Array:
    """The upper halves of the float32 values, rounded to nearest, ties to even; NaN stays NaN."""
    if array.dtype.name == "bfloat16":
        return array.view(np.uint16)
    bits = np.ascontiguousarray(array, dtype="<f4").view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    quiet = bits | np.uint32(0x0040_0000)  # else the carry could turn a NaN into an infinity or a zero
    return (np.where(np.isnan(array), quiet, rounded) >> np.uint32(16)).astype("<u2")
