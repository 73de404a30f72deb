"""A user's own `@task` that calls infer() with inputs prepared before the load.

BENCH_CASE names a JSON file: model, input, wire_shape, payloads.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from locust import task

import triton_users.client as grpcclient
from triton_users import TritonUser

CASE = json.loads(Path(os.environ["BENCH_CASE"]).read_text())


def prepared_inputs() -> list[list[Any]]:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(CASE["payloads"]):
        tensor = grpcclient.InferInput(CASE["input"], CASE["wire_shape"], "FP32")
        tensor.set_data_from_numpy(rng.random(CASE["wire_shape"], dtype=np.float32))
        found.append([tensor])
    return found


INPUTS = prepared_inputs()


class InferTask(TritonUser):
    turn = 0

    @task
    def infer(self) -> None:
        self.turn += 1
        self.client.infer(CASE["model"], INPUTS[self.turn % len(INPUTS)])
