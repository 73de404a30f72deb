"""The host's memory, network and disks, by psutil."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from triton_users.collect.rates import Growing
from triton_users.collect.sensor import Absent, Reading

MS_PER_S = 1_000


class Memory:
    """The host's memory and swap."""

    source = "memory"

    def open(self) -> None:
        psutil.virtual_memory()

    def sample(self, now_ns: int) -> Iterable[Reading]:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        values = {
            "memory_total_bytes": memory.total,
            "memory_used_bytes": memory.used,
            "memory_available_bytes": memory.available,
            "swap_used_bytes": swap.used,
        }
        for name in ("cached", "buffers"):
            if hasattr(memory, name):
                values[f"memory_{name}_bytes"] = getattr(memory, name)
        if not swap.total:
            del values["swap_used_bytes"]
        return [Reading({}, values)]

    def close(self) -> None: ...


class Network:
    """Each interface that has ever had traffic; the host's ends of containers (veth) are left out."""

    source = "network"

    def __init__(self) -> None:
        self._growing = Growing()

    def open(self) -> None:
        if not psutil.net_io_counters(pernic=True, nowrap=False):
            raise Absent("there is no network interface")
        self._growing = Growing()

    def sample(self, now_ns: int) -> Iterator[Reading]:
        for nic, io in psutil.net_io_counters(pernic=True, nowrap=False).items():
            if nic.startswith("veth") or not io.bytes_sent + io.bytes_recv:
                continue
            growth = self._growing.of(
                nic,
                now_ns,
                {
                    "network_sent_bytes_per_s": io.bytes_sent,
                    "network_received_bytes_per_s": io.bytes_recv,
                    "network_sent_packet_rate": io.packets_sent,
                    "network_received_packet_rate": io.packets_recv,
                    "network_error_rate": io.errin + io.errout,
                    "network_drop_rate": io.dropin + io.dropout,
                },
            )
            if growth is not None:
                yield Reading({"nic": nic}, {name: growth.per_second(name) for name in growth.by})

    def close(self) -> None: ...


class Disk:
    """Each whole disk that has ever been used; no partitions, no loop devices."""

    source = "disk"

    def __init__(self) -> None:
        self._growing = Growing()

    def open(self) -> None:
        if not psutil.disk_io_counters(perdisk=True, nowrap=False):
            raise Absent("the system counts no disk")
        self._growing = Growing()

    def sample(self, now_ns: int) -> Iterator[Reading]:
        for disk, io in psutil.disk_io_counters(perdisk=True, nowrap=False).items():
            if not io.read_count + io.write_count or not _whole(disk):
                continue
            counters: dict[str, float] = {
                "disk_read_bytes_per_s": io.read_bytes,
                "disk_write_bytes_per_s": io.write_bytes,
                "disk_read_operation_rate": io.read_count,
                "disk_write_operation_rate": io.write_count,
            }
            if hasattr(io, "busy_time"):
                counters["disk_busy_ratio"] = io.busy_time / MS_PER_S
            growth = self._growing.of(disk, now_ns, counters)
            if growth is not None:
                yield Reading({"disk": disk}, {name: growth.per_second(name) for name in growth.by})

    def close(self) -> None: ...


def _whole(disk: str) -> bool:
    if disk.startswith(("loop", "ram")):
        return False
    return sys.platform != "linux" or Path("/sys/block", disk.replace("/", "!")).exists()
