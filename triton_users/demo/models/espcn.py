"""Runs model.onnx, which lies beside this file, with onnxruntime.

Parameter `intra_op_threads`: how many threads share one inference; by default one per processor.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # exists in Triton alone


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"]).get("parameters", {})
        threads = parameters.get("intra_op_threads", {}).get("string_value", len(os.sched_getaffinity(0)))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(threads)
        # Threads that spin between inferences would take the processor from a generator beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            pictures = pb_utils.get_input_tensor_by_name(request, "input").as_numpy()
            # One at a time: eight in one run fall out of the processor's caches, 43 instead of 30 ms each.
            enlarged = [self.session.run(["output"], {"input": picture[None]})[0] for picture in pictures]
            responses.append(
                pb_utils.InferenceResponse([pb_utils.Tensor("output", np.concatenate(enlarged))])
            )
        return responses
