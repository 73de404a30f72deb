"""NVIDIA GPUs by NVML (nvidia-ml-py). What a GPU does not support is absent, never zero."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from triton_users.collect.sensor import Absent, Failed, Reading

Values = dict[str, float]
Ask = Callable[[Any, Any], Values]

THROTTLE_BITS = {
    "idle": 0x1,
    "clock_setting": 0x2,
    "power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "power_brake": 0x80,
    "display_clock": 0x100,
}
"""nvml.h: nvmlClocksEventReason…"""
SLOWED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""The reasons that mean that power or heat holds the GPU back."""

SM, MEM = 1, 2
"""nvml.h: NVML_CLOCK_SM, NVML_CLOCK_MEM."""
NOT_THERE = frozenset({3, 13})
"""nvml.h: NVML_ERROR_NOT_SUPPORTED and NVML_ERROR_FUNCTION_NOT_FOUND (an older driver)."""
LOST = frozenset({15, 999})
"""nvml.h: NVML_ERROR_GPU_IS_LOST and NVML_ERROR_UNKNOWN. Any other error concerns what was asked alone: with
MIG, for one, an ordinary user is not told of the memory (NVML_ERROR_NO_PERMISSION)."""
UNUSABLE = {9: "the NVIDIA driver is not loaded", 12: "there is no NVML library"}


def _utilization(nvml: Any, gpu: Any) -> Values:
    rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
    return {"gpu_utilization_ratio": rates.gpu / 100, "gpu_memory_utilization_ratio": rates.memory / 100}


def _memory(nvml: Any, gpu: Any) -> Values:
    memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
    return {"gpu_memory_used_bytes": memory.used, "gpu_memory_total_bytes": memory.total}


def _throttling(nvml: Any, gpu: Any) -> Values:
    # The older name: every driver has it, and it gives the same bits.
    bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
    values = {f"gpu_throttle_{name}": float(bits & bit != 0) for name, bit in THROTTLE_BITS.items()}
    return values | {"gpu_throttled": float(bits & SLOWED != 0)}


ASKED: Mapping[str, Ask] = {
    "utilisation": _utilization,
    "memory": _memory,
    "reasons for lower clocks": _throttling,
    "power": lambda nvml, gpu: {"gpu_power_watts": nvml.nvmlDeviceGetPowerUsage(gpu) / 1e3},
    "power limit": lambda nvml, gpu: {
        "gpu_power_limit_watts": nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1e3
    },
    "energy": lambda nvml, gpu: {"gpu_energy_joules": nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3},
    "clock": lambda nvml, gpu: {"gpu_sm_clock_hz": nvml.nvmlDeviceGetClockInfo(gpu, SM) * 1e6},
    "memory clock": lambda nvml, gpu: {"gpu_memory_clock_hz": nvml.nvmlDeviceGetClockInfo(gpu, MEM) * 1e6},
    "temperature": lambda nvml, gpu: {
        "gpu_temperature_celsius": float(nvml.nvmlDeviceGetTemperature(gpu, 0))
    },
}


@dataclass(slots=True)
class Gpu:
    """One device, and what it still answers to."""

    handle: Any
    labels: Mapping[str, str]
    asked: dict[str, Ask] = field(default_factory=lambda: dict(ASKED))


def _fault(labels: Mapping[str, str], error: Exception) -> Reading:
    return Reading(labels, {}, fault=f"GPU {labels['gpu']}: NVML says: {error}")


class Nvml:
    """``load`` gives the pynvml module."""

    source = "gpu"

    def __init__(self, load: Callable[[], Any] = lambda: importlib.import_module("pynvml")) -> None:
        self._load = load
        self._nvml: Any = None
        self._gpus: list[Gpu] = []
        self._lost: list[Reading] = []

    def open(self) -> None:
        try:
            nvml = self._load()
        except ImportError as error:
            raise Absent("nvidia-ml-py is not installed (in the checkout: pip install '.[agent]')") from error
        try:
            nvml.nvmlInit()
            self._nvml = nvml
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            if error.value in UNUSABLE:
                raise Absent(UNUSABLE[error.value]) from error
            raise Failed(f"NVML says: {error}") from error
        if not count:
            raise Absent("there is no NVIDIA GPU")
        for index in range(count):
            try:
                self._gpus.append(self._gpu(index))
            except nvml.NVMLError as error:
                self._lost.append(_fault({"gpu": str(index)}, error))
        found = list(self.sample(0))  # of all: it sorts out what is absent
        if not any(reading.values for reading in found):
            raise Absent("NVML knows the GPU and nothing about it (a Jetson: see the sensor jetson)")

    def sample(self, now_ns: int) -> Iterator[Reading]:
        """One that is lost holds up no other."""
        lost, answered = [*self._lost], False
        for gpu in self._gpus:
            try:
                reading = self._ask(gpu)
            except self._nvml.NVMLError as error:
                lost.append(_fault(gpu.labels, error))
                continue
            answered = True
            if reading.values:
                yield reading
        if not answered:
            raise Failed("; ".join(reading.fault for reading in lost))
        yield from lost

    def close(self) -> None:
        nvml, self._nvml, self._gpus, self._lost = self._nvml, None, [], []
        if nvml is not None:
            with contextlib.suppress(nvml.NVMLError):  # it may be gone, which is why we close
                nvml.nvmlShutdown()

    def _gpu(self, index: int) -> Gpu:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        labels = {"gpu": str(index)}
        for label, ask in (
            ("name", self._nvml.nvmlDeviceGetName),
            ("uuid", self._nvml.nvmlDeviceGetUUID),
        ):
            try:
                text = ask(handle)
            except self._nvml.NVMLError as error:
                if error.value not in NOT_THERE:
                    raise
            else:
                labels[label] = text.decode() if isinstance(text, bytes) else str(text)
        return Gpu(handle, labels)

    def _ask(self, gpu: Gpu) -> Reading:
        """What it tells, and what it was asked in vain. Raises NVMLError where that is all."""
        values: Values = {}
        refused: dict[str, Exception] = {}
        for name, ask in tuple(gpu.asked.items()):
            try:
                values |= ask(self._nvml, gpu.handle)
            except self._nvml.NVMLError as error:
                if error.value in NOT_THERE:
                    del gpu.asked[name]
                elif error.value in LOST:
                    raise
                else:
                    refused[name] = error
        if refused and not values:
            raise next(iter(refused.values()))
        told = ", ".join(f"{name} ({error})" for name, error in refused.items())
        return Reading(gpu.labels, values, fault=told and f"GPU {gpu.labels['gpu']}: NVML refuses {told}")
