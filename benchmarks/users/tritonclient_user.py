"""tritonclient.grpc under gevent, the way people load Triton from Locust without this project.

BENCH_CASE names a JSON file: model, input, wire_shape, payloads, output (where the latencies go, in ns).
"""

from __future__ import annotations

import json
import os
import time
from array import array
from pathlib import Path
from typing import Any

import grpc.experimental.gevent  # type: ignore[import-untyped]  # grpcio carries no types
import numpy as np
import tritonclient.grpc as grpcclient
from locust import User, events, task

grpc.experimental.gevent.init_gevent()

CASE = json.loads(Path(os.environ["BENCH_CASE"]).read_text())
LATENCIES_NS = array("q")


def prepared_inputs() -> list[list[Any]]:
    """Inputs are built before the load, as the other peers do."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(CASE["payloads"]):
        tensor = grpcclient.InferInput(CASE["input"], CASE["wire_shape"], "FP32")
        tensor.set_data_from_numpy(rng.random(CASE["wire_shape"], dtype=np.float32))
        found.append([tensor])
    return found


INPUTS = prepared_inputs()


class TritonclientUser(User):
    def on_start(self) -> None:
        self.client = grpcclient.InferenceServerClient(self.host)
        self.turn = 0

    @task
    def infer(self) -> None:
        inputs = INPUTS[self.turn % len(INPUTS)]
        self.turn += 1
        begun_ns = time.perf_counter_ns()
        self.client.infer(CASE["model"], inputs)
        spent_ns = time.perf_counter_ns() - begun_ns
        LATENCIES_NS.append(spent_ns)
        self.environment.events.request.fire(
            request_type="grpc", name=CASE["model"], response_time=spent_ns / 1e6, response_length=0
        )


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # Locust's is untyped
def leave(**_: Any) -> None:
    """Writes the latencies and leaves at once: closing grpcio channels under gevent blocks for ever.

    The users have ended their last request by now (--stop-timeout), so nothing is cut off.
    """
    quantiles = np.percentile(LATENCIES_NS, [50, 99])
    result = {"mean_ns": float(np.mean(LATENCIES_NS)), "p50_ns": quantiles[0], "p99_ns": quantiles[1]}
    Path(CASE["output"]).write_text(json.dumps(result))
    os._exit(0)
