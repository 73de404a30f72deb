"""The answer to an inference, decoded when somebody looks at it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import tritonclient.grpc as theirs
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2


class InferResult(theirs.InferResult):  # type: ignore[misc] # tritonclient has no types
    """``as_numpy``, ``get_output`` and ``get_response`` are tritonclient's.

    ``result`` is a serialised ModelInferResponse, which a load test often drops unread, or the message.
    """

    def __init__(self, result: Any) -> None:
        # Not tritonclient's own __init__, which wants the decoded message.
        self._given = result

    @cached_property
    def _result(self) -> Any:
        given = self._given
        is_message = isinstance(given, service_pb2.ModelInferResponse)
        return given if is_message else service_pb2.ModelInferResponse.FromString(given)

    def get_output(self, name: str, as_json: bool = False) -> Any:
        """The output of that name as a message, or as a dict (see ``as_dict``); None if there is none."""
        output = super().get_output(name)
        return as_dict(output) if as_json and output is not None else output


def as_dict(message: Any) -> dict[str, Any]:
    """A message as JSON's types; field names stay as they are, and 64-bit integers are strings."""
    return MessageToDict(message, preserving_proto_field_name=True)
