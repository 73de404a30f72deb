"""NVML as a module: played back from a recording, or made up for faults."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Fault = str | tuple[Any, ...]


class NVMLError(Exception):
    """As pynvml's: ``value`` is NVML's code."""

    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


class PlayedNvml:
    """Answers each call as the recording did, in its order for each function and its arguments."""

    NVMLError = NVMLError

    def __init__(self, path: Path) -> None:
        recording = json.loads(path.read_text())
        self.origin, self.samples = recording["origin"], recording["samples"]
        self._answers: dict[tuple[Any, ...], deque[Any]] = {}
        for name, arguments, answer in recording["calls"]:
            self._answers.setdefault((name, *arguments), deque()).append(answer)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            answer = self._answers[(name, *arguments)].popleft()
            if isinstance(answer, dict) and "error" in answer:
                raise NVMLError(answer["error"])
            return SimpleNamespace(**answer["fields"]) if isinstance(answer, dict) else answer

        return call


class MadeUpNvml:
    """Two GPUs that work; ``faults`` maps a function, or (function, GPU), to the code it fails with."""

    NVMLError = NVMLError

    def __init__(self, faults: Mapping[Fault, int] | None = None, count: int = 2) -> None:
        self.faults: dict[Fault, int] = dict(faults or {})
        self.count = count
        self.calls: list[str] = []
        self.figures = (
            *("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetPowerUsage"),
            *("nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetEnforcedPowerLimit"),
            *("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetClockInfo", "nvmlDeviceGetTemperature"),
        )
        self._answers: dict[str, Any] = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetCount": lambda: self.count,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetName": lambda gpu: b"Made Up",
            "nvmlDeviceGetUUID": lambda gpu: f"GPU-{gpu}",
            "nvmlDeviceGetUtilizationRates": lambda gpu: SimpleNamespace(gpu=25, memory=10),
            "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(total=1000, used=100 + gpu),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu: 0x4 | 0x1,
            "nvmlDeviceGetPowerUsage": lambda gpu: 70_500,
            "nvmlDeviceGetEnforcedPowerLimit": lambda gpu: 700_000,
            "nvmlDeviceGetTotalEnergyConsumption": lambda gpu: 1_234_567,
            "nvmlDeviceGetClockInfo": lambda gpu, kind: {1: 1980, 2: 3201}[kind],
            "nvmlDeviceGetTemperature": lambda gpu, sensor: 31,
        }

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            for fault in (name, (name, *arguments[:1])):
                if fault in self.faults:
                    raise NVMLError(self.faults[fault])
            return self._answers[name](*arguments)

        return call
