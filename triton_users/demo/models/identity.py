"""Answers INPUT0 as OUTPUT0, unchanged."""

from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # exists in Triton alone


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", values)]))
        return responses
