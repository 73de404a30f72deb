"""Jetson: power rails (INA3221 by the kernel's hwmon) and the GPU's load, from sysfs.

Files and units: the kernel's Documentation/hwmon/ina3221.rst (in*_input mV, curr*_input mA, in*_label).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_users.collect.sensor import Absent, Reading

CHANNELS = (1, 2, 3)
LOADS = ("devices/gpu.0/load", "devices/platform/gpu.0/load", "devices/platform/*.gpu/load",
         "devices/platform/bus@0/*.gpu/load")  # fmt: skip
"""Where the releases of JetPack show the GPU's load, in thousandths."""


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply rail of a Jetson: where its voltage and current are read."""

    name: str
    millivolts: Path
    milliamperes: Path


class Jetson:
    """The power and load of a Jetson board, from /sys."""

    source = "jetson"

    def __init__(self, sys: Path = Path("/sys")) -> None:
        self._sys = sys
        self._rails: list[Rail] = []
        self._load: Path | None = None

    def open(self) -> None:
        self._rails = list(self._found())
        self._load = next((path for pattern in LOADS for path in sorted(self._sys.glob(pattern))), None)
        if not self._rails and self._load is None:
            raise Absent("this is no Jetson: no INA3221, no load of a Tegra GPU")

    def sample(self, now_ns: int) -> Iterator[Reading]:
        answered = False
        for rail in self._rails:
            # A rail that is switched off cannot be read (ENODATA); the others can.
            with contextlib.suppress(OSError):
                volts = int(rail.millivolts.read_text()) / 1e3
                amperes = int(rail.milliamperes.read_text()) / 1e3
                answered = True
                yield Reading(
                    {"rail": rail.name},
                    {
                        "rail_voltage_volts": volts,
                        "rail_current_amperes": amperes,
                        "rail_power_watts": volts * amperes,
                    },
                )
        if self._load is not None:
            try:
                ratio = int(self._load.read_text()) / 1e3
            except OSError as error:
                if not answered:
                    raise
                yield Reading({"gpu": "0"}, {}, fault=f"the GPU's load: {error.strerror}: {self._load}")
            else:
                yield Reading({"gpu": "0"}, {"gpu_utilization_ratio": ratio})

    def close(self) -> None:
        self._rails, self._load = [], None

    def _found(self) -> Iterator[Rail]:
        for chip in sorted(self._sys.glob("class/hwmon/hwmon*")):
            name = chip / "name"
            if not name.exists() or name.read_text().strip() != "ina3221":
                continue
            for channel in CHANNELS:
                volts, amperes = chip / f"in{channel}_input", chip / f"curr{channel}_input"
                label = chip / f"in{channel}_label"
                if volts.exists() and amperes.exists():
                    text = label.read_text().strip() if label.exists() else f"{chip.name}-{channel}"
                    if text and text != "NC":  # not connected
                        yield Rail(text, volts, amperes)
