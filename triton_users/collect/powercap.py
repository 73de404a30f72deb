"""Energy of processors and memory, from the kernel's powercap tree (RAPL; Intel's driver serves AMD too).

The counter wraps at max_energy_range_uj, after about a minute under full load on large processors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_users.collect.sensor import Absent, Failed, Reading
from triton_users.units import NS_PER_S

UJ_PER_J = 1e6
ADVICE = "run the agent as root, or let its user read it: chmod a+r /sys/class/powercap/*/energy_uj"


@dataclass(slots=True)
class Zone:
    """``joules`` since it was first read."""

    path: Path
    name: str
    range_uj: int
    last_uj: int
    last_ns: int | None = None
    joules: float = 0.0

    def grow(self, uj: int) -> float:
        """Joules since the last reading; a counter that is below the last has wrapped, once."""
        grown = uj - self.last_uj
        if grown < 0:
            grown += self.range_uj
        self.last_uj = uj
        self.joules += grown / UJ_PER_J
        return grown / UJ_PER_J


class Powercap:
    """The processors' energy, from the kernel's counters (Intel RAPL and its like)."""

    source = "powercap"

    def __init__(self, tree: Path = Path("/sys/class/powercap")) -> None:
        self._tree = tree
        self._zones: list[Zone] = []

    def open(self) -> None:
        # intel-rapl-mmio counts the same packages once more.
        paths = sorted(p.parent for p in self._tree.glob("intel-rapl:*/energy_uj"))
        if not paths:
            raise Absent("the kernel shows no energy counters (powercap): not on this machine, or not to it")
        names = {path.name: (path / "name").read_text().strip() for path in paths}
        self._zones = []
        for path in paths:
            parent = names.get(path.name.rpartition(":")[0])
            name = f"{parent}/{names[path.name]}" if parent else names[path.name]
            span = int((path / "max_energy_range_uj").read_text())
            self._zones.append(Zone(path, name, span, self._read(path)))

    def sample(self, now_ns: int) -> Iterator[Reading]:
        for zone in self._zones:
            grown = zone.grow(self._read(zone.path))
            values = {"cpu_energy_joules": zone.joules}
            if zone.last_ns is not None and now_ns > zone.last_ns:
                values["cpu_power_watts"] = grown * NS_PER_S / (now_ns - zone.last_ns)
            zone.last_ns = now_ns
            yield Reading({"zone": zone.name}, values)

    def close(self) -> None:
        self._zones = []

    @staticmethod
    def _read(path: Path) -> int:
        try:
            return int((path / "energy_uj").read_text())
        except PermissionError as error:
            raise Failed(f"{path}/energy_uj may be read by root alone: {ADVICE}") from error
