"""A ModelInferRequest put together from fields that were encoded earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tritonclient.grpc import service_pb2
from tritonclient.utils import (
    TRITON_RESERVED_REQUEST_PARAMS,
    TRITON_RESERVED_REQUEST_PARAMS_PREFIX,
    raise_error,
)

from triton_users.client.tensors import LARGE_BYTES, InferInput, input_pieces, output_field
from triton_users.inputs.fields import field

_ID = service_pb2.ModelInferRequest.ID_FIELD_NUMBER

_KINDS: tuple[tuple[type, str], ...] = (
    (str, "string_param"),
    (bool, "bool_param"),  # before int, which it is as well
    (int, "int64_param"),
    (float, "double_param"),
)


class MessageMaker:
    """Makes requests; remembers the part that names the model."""

    def __init__(self) -> None:
        self._fronts: dict[tuple[str, str], bytes] = {}

    def make(
        self,
        model: tuple[str, str],
        inputs: Sequence[Any],
        outputs: Sequence[Any] | None,
        request_id: str,
        parameters: bytes,
    ) -> bytes:
        """The serialised request. ``model`` is (name, version), ``parameters`` comes from
        ``parameter_fields``. The same inputs and outputs, unchanged, give the same bytes object again if it
        is large and nothing else varies."""
        parts = [self._fronts.get(model) or self._front(model)]
        for tensor in inputs:
            parts += getattr(tensor, "_pieces", None) or input_pieces(tensor)
        if outputs:
            for output in outputs:
                parts.append(getattr(output, "_field", None) or output_field(output))
        if request_id or parameters:
            if request_id:
                parts.append(field(_ID, request_id.encode()))
            parts.append(parameters)
            return b"".join(parts)
        return _join(parts, inputs[0]) if inputs else parts[0]

    def _front(self, model: tuple[Any, Any]) -> bytes:
        name, version = model
        if not isinstance(version, str):
            raise_error("model version must be a string")
        front: bytes = service_pb2.ModelInferRequest(
            model_name=name, model_version=version
        ).SerializeToString()
        self._fronts[model] = front
        return front


def _join(parts: list[bytes], first: Any) -> bytes:
    """Joins, unless ``first`` remembers the result: to copy megabytes costs more than all else in a request.

    Comparing is cheap, since unchanged parts are the same objects.
    """
    kept: tuple[list[bytes], bytes] | None = getattr(first, "_joined", None)
    if kept is not None and kept[0] == parts:
        return kept[1]
    message = b"".join(parts)
    if len(message) >= LARGE_BYTES and isinstance(first, InferInput):
        first._joined = (parts, message)
    return message


def parameter_fields(
    sequence: tuple[int | str, bool, bool],
    priority: int,
    timeout_us: int | None,
    parameters: Mapping[str, str | bool | int | float] | None,
) -> bytes:
    """The request's parameters, encoded. ``sequence`` is (id, start, end), id 0 or "" for none;
    ``timeout_us`` is the server's own, in microseconds.

    Raises InferenceServerException for reserved names and for values of other types.
    """
    request = service_pb2.ModelInferRequest()
    sequence_id, start, end = sequence
    if sequence_id:
        _set(request.parameters["sequence_id"], "sequence_id", sequence_id)
        request.parameters["sequence_start"].bool_param = start
        request.parameters["sequence_end"].bool_param = end
    if priority:
        request.parameters["priority"].uint64_param = priority
    if timeout_us is not None:
        request.parameters["timeout"].int64_param = timeout_us
    for name, value in (parameters or {}).items():
        reserved = name in TRITON_RESERVED_REQUEST_PARAMS
        if reserved or name.startswith(TRITON_RESERVED_REQUEST_PARAMS_PREFIX):
            raise_error(
                f"parameter {name!r} is reserved: it has an argument of its own, or belongs to Triton"
            )
        _set(request.parameters[name], name, value)
    encoded: bytes = request.SerializeToString()
    return encoded


def _set(parameter: Any, name: str, value: object) -> None:
    for kind, attribute in _KINDS:
        if isinstance(value, kind):
            setattr(parameter, attribute, value)
            return
    raise_error(f"parameter {name!r} must be str, bool, int or float, not {type(value).__name__}")
