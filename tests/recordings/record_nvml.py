"""Records what NVML answers to the sensor `gpu`, second by second, into a file for tests/fakes/nvml.py.

Run on a machine with an NVIDIA GPU, from the repository's root, pynvml.py (nvidia-ml-py) on PYTHONPATH; of
this project it needs the sensor alone, and no other package:
    python3 tests/recordings/record_nvml.py OUT.json [SECONDS]
"""

from __future__ import annotations

import datetime as dt
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import pynvml

from triton_users.collect.nvml import Nvml

SIMPLE = (int, float, str)


class Recorder:
    """Stands for the module: passes calls on, and notes each with its answer."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []
        self.cost_ns = 0
        self.NVMLError = pynvml.NVMLError

    def __getattr__(self, name: str) -> Any:
        function = getattr(pynvml, name)

        def call(*arguments: Any) -> Any:
            noted = [argument if isinstance(argument, int) else "gpu" for argument in arguments]
            began = time.thread_time_ns()
            try:
                answer = function(*arguments)
            except pynvml.NVMLError as error:
                self.calls.append([name, noted, {"error": error.value, "text": str(error)}])
                raise
            finally:
                self.cost_ns += time.thread_time_ns() - began
            self.calls.append([name, noted, told(answer)])
            return answer

        return call


def told(answer: Any) -> Any:
    if answer is None or isinstance(answer, SIMPLE):
        return answer
    if isinstance(answer, bytes):
        return answer.decode()
    fields = [name for name, *_ in getattr(answer, "_fields_", ())]
    return {"fields": {name: getattr(answer, name) for name in fields}} if fields else "gpu"


def main(path: str, seconds: int) -> None:
    recorder = Recorder()
    sensor = Nvml(lambda: recorder)
    sensor.open()
    samples, costs = [], []
    for _ in range(seconds):
        recorder.cost_ns = 0
        samples.append([[dict(one.labels), dict(one.values)] for one in sensor.sample(0)])
        costs.append(recorder.cost_ns)
        time.sleep(1)
    origin = {
        "made_by": "tests/recordings/record_nvml.py",
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "gpus": [
            pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i))
            for i in range(pynvml.nvmlDeviceGetCount())
        ],
        "driver": pynvml.nvmlSystemGetDriverVersion(),
        "nvml": pynvml.nvmlSystemGetNVMLVersion(),
        "python": platform.python_version(),
        "cpu_ns_a_sample": sorted(costs)[len(costs) // 2],
    }
    sensor.close()
    recording = {"origin": origin, "calls": recorder.calls, "samples": samples}
    Path(path).write_text(json.dumps(recording, indent=1) + "\n")
    print(json.dumps(origin))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5)
