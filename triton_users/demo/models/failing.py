"""Answers INPUT0 as OUTPUT0 or an error, by a known share.

Parameters: `share` of the requests that fail, evenly spread (default 0.5: every second one); `message` of the
error; `fail_on_negative` ("true": instead, those requests fail whose first value is below zero).
"""

import json
from typing import Any

import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # exists in Triton alone


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        given = json.loads(args["model_config"]).get("parameters", {})
        parameters = {key: value["string_value"] for key, value in given.items()}
        self.share = float(parameters.get("share", "0.5"))
        self.message = parameters.get("message", "this request was meant to fail")
        self.on_negative = parameters.get("fail_on_negative") == "true"
        self.served = 0

    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            if self.fails(values):
                responses.append(pb_utils.InferenceResponse([], pb_utils.TritonError(self.message)))
            else:
                responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", values)]))
        return responses

    def fails(self, values: Any) -> bool:
        if self.on_negative:
            return bool(values.flat[0] < 0)
        self.served += 1
        return int(self.served * self.share) > int((self.served - 1) * self.share)
