"""GPUs by NVML, made up for faults, or played back from recordings of real ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nvml import MadeUpNvml, PlayedNvml
from triton_users.collect.nvml import Nvml
from triton_users.collect.sensor import Absent, Failed, Reading
from triton_users.metrics import BY_NAME, THROTTLING

S = 1_000_000_000
RECORDINGS = Path(__file__).parents[1] / "recordings"


def by_gpu(readings: Iterable[Reading]) -> dict[str, Reading]:
    return {reading.labels["gpu"]: reading for reading in readings}


def test_a_row_for_each_gpu() -> None:
    sensor = Nvml(MadeUpNvml)
    sensor.open()
    gpus = by_gpu(sensor.sample(0))
    assert gpus["1"].labels == {"gpu": "1", "name": "Made Up", "uuid": "GPU-1"}
    assert gpus["1"].values == {
        "gpu_utilization_ratio": 0.25,
        "gpu_memory_utilization_ratio": 0.1,
        "gpu_memory_used_bytes": 101,
        "gpu_memory_total_bytes": 1000,
        "gpu_power_watts": 70.5,
        "gpu_power_limit_watts": 700.0,
        "gpu_energy_joules": 1234.567,
        "gpu_sm_clock_hz": 1.98e9,
        "gpu_memory_clock_hz": 3.201e9,
        "gpu_temperature_celsius": 31.0,
        "gpu_throttled": 1.0,
    } | {f"gpu_throttle_{name}": float(name in ("power_cap", "idle")) for name in THROTTLING}
    assert len(gpus) == 2


def test_what_a_gpu_does_not_support_is_absent_and_asked_once() -> None:
    nvml = MadeUpNvml(
        {"nvmlDeviceGetTotalEnergyConsumption": 3, "nvmlDeviceGetUtilizationRates": 13}, count=1
    )
    sensor = Nvml(lambda: nvml)
    sensor.open()
    (gpu,) = sensor.sample(0)
    assert not {"gpu_energy_joules", "gpu_utilization_ratio"} & gpu.values.keys()
    assert "gpu_power_watts" in gpu.values
    list(sensor.sample(S))
    assert nvml.calls.count("nvmlDeviceGetTotalEnergyConsumption") == 1


@pytest.mark.parametrize(
    ("nvml", "sentence"),
    [
        (MadeUpNvml({"nvmlInit": 12}), "there is no NVML library"),
        (MadeUpNvml({"nvmlInit": 9}), "the NVIDIA driver is not loaded"),
        (MadeUpNvml(count=0), "there is no NVIDIA GPU"),
        (MadeUpNvml(dict.fromkeys(MadeUpNvml().figures, 3)), "nothing about it"),
    ],
)
def test_no_gpu_is_absent_with_its_reason(nvml: MadeUpNvml, sentence: str) -> None:
    sensor = Nvml(lambda: nvml)
    with pytest.raises(Absent, match=sentence):
        sensor.open()
    sensor.close()
    sensor.close()


def test_a_gpu_that_is_lost_is_named_and_costs_itself_alone() -> None:
    nvml = MadeUpNvml()
    sensor = Nvml(lambda: nvml)
    sensor.open()
    nvml.faults["nvmlDeviceGetPowerUsage", 0] = 15
    here, lost = sensor.sample(0)
    assert here.labels["gpu"] == "1" and "gpu_power_watts" in here.values and not here.fault
    assert (lost.labels["gpu"], lost.values, lost.fault) == ("0", {}, "GPU 0: NVML says: code 15")
    nvml.faults["nvmlDeviceGetPowerUsage", 1] = 15
    with pytest.raises(Failed, match="GPU 0: NVML says: code 15; GPU 1: NVML says: code 15"):
        list(sensor.sample(0))


def test_what_a_gpu_refuses_to_tell_costs_nothing_else() -> None:
    """As with MIG, where memory is for privileged users: NVML_ERROR_NO_PERMISSION."""
    nvml = MadeUpNvml({"nvmlDeviceGetMemoryInfo": 4, ("nvmlDeviceGetTemperature", 1): 10})
    sensor = Nvml(lambda: nvml)
    sensor.open()
    gpus = by_gpu(sensor.sample(0))
    assert "gpu_memory_used_bytes" not in gpus["0"].values
    assert {"gpu_utilization_ratio", "gpu_power_watts", "gpu_temperature_celsius"} <= gpus["0"].values.keys()
    assert gpus["0"].fault == "GPU 0: NVML refuses memory (code 4)"
    assert gpus["1"].fault == "GPU 1: NVML refuses memory (code 4), temperature (code 10)"
    nvml.faults = {}
    assert [(gpu.fault, "gpu_memory_used_bytes" in gpu.values) for gpu in sensor.sample(S)] == [
        ("", True)
    ] * 2
    nvml.faults = dict.fromkeys(nvml.figures, 4)
    with pytest.raises(Failed, match="GPU 0: NVML says: code 4"):
        list(sensor.sample(2 * S))


@pytest.mark.parametrize(
    "name", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetPowerUsage"]
)
def test_a_gpu_that_was_lost_before_is_too(name: str) -> None:
    sensor = Nvml(lambda: MadeUpNvml({(name, 0): 15}))
    sensor.open()
    assert [(one.labels["gpu"], one.fault) for one in sensor.sample(0)] == [
        ("1", ""),
        ("0", "GPU 0: NVML says: code 15"),
    ]
    with pytest.raises(Failed, match="GPU 0: NVML says: code 15; GPU 1"):
        Nvml(lambda: MadeUpNvml({name: 15})).open()


def test_without_the_package() -> None:
    def load() -> Any:
        raise ImportError

    with pytest.raises(Absent, match=r"pip install .\.\[agent\]"):
        Nvml(load).open()


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("nvml-*.json")), ids=lambda path: path.name)
def test_recorded_gpus(path: Path) -> None:
    """What real GPUs answered (the file names them) still makes what was made of it then."""
    played = PlayedNvml(path)
    assert played.origin["gpus"]
    sensor = Nvml(lambda: played)
    sensor.open()
    for expected in played.samples:
        found = [[dict(one.labels), dict(one.values)] for one in sensor.sample(0)]
        assert found == expected
        assert all(name in BY_NAME for _, values in found for name in values)
