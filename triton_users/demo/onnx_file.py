"""Writes ONNX files: the few protobuf messages of onnx.proto that a plain network of layers needs.

Field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Nothing is
checked here: whoever loads the file does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

IR_VERSION = 8
OPSET = 17

FLOAT, INT64 = 1, 7
"""TensorProto.DataType."""

ATTRIBUTE_INT, ATTRIBUTE_STRING, ATTRIBUTE_INTS = 2, 3, 7
"""AttributeProto.AttributeType."""

Attribute = int | str | Sequence[int]
Shape = Sequence[int | str]
"""A size is a number, or a name for one that is known only when the network runs."""


def node(kind: str, inputs: Iterable[str], output: str, attributes: Mapping[str, Attribute]) -> bytes:
    """NodeProto: one operator of type ``kind`` with one output."""
    return _message(
        *((1, name) for name in inputs),
        (2, output),
        (4, kind),
        *((5, _attribute(name, value)) for name, value in attributes.items()),
    )


def tensor(name: str, values: NDArray[Any]) -> bytes:
    """TensorProto: a constant of float32 or int64, of any shape. Raises KeyError for another dtype."""
    kind = {np.dtype("<f4"): FLOAT, np.dtype("<i8"): INT64}[values.dtype]
    return _message(*((1, size) for size in values.shape), (2, kind), (8, name), (9, values.tobytes()))


def value_info(name: str, shape: Shape) -> bytes:
    """ValueInfoProto: a float32 input or output."""
    sizes = [(1, _message((1 if isinstance(size, int) else 2, size))) for size in shape]
    return _message((1, name), (2, _message((1, _message((1, FLOAT), (2, _message(*sizes)))))))


def model(
    name: str,
    nodes: Iterable[bytes],
    constants: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
) -> bytes:
    """ModelProto: the file's content."""
    graph = _message(
        *((1, part) for part in nodes),
        (2, name),
        *((5, part) for part in constants),
        *((11, part) for part in inputs),
        *((12, part) for part in outputs),
    )
    return _message((1, IR_VERSION), (2, "triton_users"), (7, graph), (8, _message((1, ""), (2, OPSET))))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, ATTRIBUTE_INT))
    if isinstance(value, str):
        return _message((1, name), (4, value), (20, ATTRIBUTE_STRING))
    return _message((1, name), *((8, number) for number in value), (20, ATTRIBUTE_INTS))


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protobuf message: numbers as varints, all else with its length before it."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
