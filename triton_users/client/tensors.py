"""The tensors of a request: tritonclient's classes, which keep their encoded form here.

A prepared tensor is encoded once and not for every request; whatever sets it makes it forget.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tritonclient.grpc as theirs
from tritonclient.grpc import service_pb2

from triton_users.inputs.fields import field, raw_prefix
from triton_users.inputs.tensors import Array

Pieces = tuple[bytes, ...]
ShapeKey = tuple[str, tuple[int, ...]]

LARGE_BYTES = 16 * 1024
"""From this size on it is worth keeping bytes apart, or together, to spare a copy of them."""

_INPUTS = service_pb2.ModelInferRequest.INPUTS_FIELD_NUMBER
_OUTPUTS = service_pb2.ModelInferRequest.OUTPUTS_FIELD_NUMBER


class InferInput(theirs.InferInput):  # type: ignore[misc] # tritonclient has no types
    """An input of a request. ``shape`` includes the batch dimension; ``datatype`` is Triton's name.

    The setters are tritonclient's: they return the input, and raise InferenceServerException when the array
    does not fit the type and shape given here.
    """

    def __init__(self, name: str, shape: Sequence[int], datatype: str) -> None:
        super().__init__(name, shape, datatype)
        self._forget()

    def _forget(self) -> None:
        self._pieces: Pieces | None = None
        self._shape_key: ShapeKey | None = None
        self._joined: tuple[list[bytes], bytes] | None = None
        """The last whole request that began with this input: its parts and their join."""

    def shape(self) -> list[int]:
        """A copy: only ``set_shape`` changes the shape."""
        return list(super().shape())

    def set_shape(self, shape: Sequence[int]) -> InferInput:
        super().set_shape(shape)
        self._forget()
        return self

    def set_data_from_numpy(self, input_tensor: Array) -> InferInput:
        super().set_data_from_numpy(input_tensor)
        self._forget()
        return self

    def set_shared_memory(self, region_name: str, byte_size: int, offset: int = 0) -> InferInput:
        super().set_shared_memory(region_name, byte_size, offset)
        self._forget()
        return self


class InferRequestedOutput(theirs.InferRequestedOutput):  # type: ignore[misc] # tritonclient has no types
    """An output to ask for; ``class_count`` above 0 asks for so many classifications instead."""

    def __init__(self, name: str, class_count: int = 0) -> None:
        super().__init__(name, class_count)
        self._field: bytes | None = None

    def set_shared_memory(self, region_name: str, byte_size: int, offset: int = 0) -> None:
        super().set_shared_memory(region_name, byte_size, offset)
        self._field = None

    def unset_shared_memory(self) -> None:
        super().unset_shared_memory()
        self._field = None


def input_pieces(tensor: Any) -> Pieces:
    """The fields of a ModelInferRequest for one input: its description, then its data.

    ``tensor`` may be tritonclient's own InferInput; that one cannot say when it changes, so it is encoded
    for every request.
    """
    front = field(_INPUTS, tensor._get_tensor().SerializeToString())
    raw: bytes | None = tensor._get_content()
    pieces: Pieces
    if raw is None:
        pieces = (front,)
    elif len(raw) < LARGE_BYTES:
        pieces = (front + raw_prefix(len(raw)) + raw,)
    else:
        pieces = (front + raw_prefix(len(raw)), raw)
    if isinstance(tensor, InferInput):
        tensor._pieces = pieces
    return pieces


def output_field(output: Any) -> bytes:
    """The field of a ModelInferRequest for one requested output."""
    encoded = field(_OUTPUTS, output._get_tensor().SerializeToString())
    if isinstance(output, InferRequestedOutput):
        output._field = encoded
    return encoded


def shape_key(tensor: Any) -> ShapeKey:
    """(name, shape as sent)."""
    key = (tensor.name(), tuple(tensor.shape()))
    if isinstance(tensor, InferInput):
        tensor._shape_key = key
    return key
