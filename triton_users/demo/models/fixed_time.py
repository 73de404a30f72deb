"""Takes a known time for each request, says from when to when, and may keep a record.

Answers START_NS and END_NS: this machine's CLOCK_MONOTONIC in ns at the start and the end of the work.

Parameters: `service_time_ns` (default 0: answer at once); `service_time_from_input` ("true": the first value
of INPUT0 is the service time in ns instead); `record` (a file: each request appends a line with 16 hex
digits of its input's SHA-256 and START_NS).
"""

import hashlib
import json
import os
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils  # type: ignore[import-not-found]  # exists in Triton alone


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        given = json.loads(args["model_config"]).get("parameters", {})
        parameters = {key: value["string_value"] for key, value in given.items()}
        self.service_ns = int(parameters.get("service_time_ns", "0"))
        self.from_input = parameters.get("service_time_from_input") == "true"
        path = parameters.get("record")
        # Appending makes one write of one line whole, also beside other instances.
        self.record = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [
            self.serve(pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy())
            for request in requests
        ]

    def serve(self, values: Any) -> Any:
        start_ns = time.monotonic_ns()
        if self.record is not None:
            digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
            os.write(self.record, f"{digest} {start_ns}\n".encode())
        end_ns = start_ns + (int(values[0]) if self.from_input else self.service_ns)
        if (left_ns := end_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)  # noqa: TID251  (there is no event loop in Triton's stub)
        times = {"START_NS": start_ns, "END_NS": time.monotonic_ns()}
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, np.array([at_ns], np.int64)) for name, at_ns in times.items()]
        )
