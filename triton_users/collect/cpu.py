"""The host's processors as ``mpstat`` (sysstat) shows them, and interrupts: from /proc.

Shares are those of mpstat: user without guest, nice without guest_nice, of the ticks that passed on that
processor. mpstat 12.6 shows as a processor's interrupts its *soft* interrupts; here they are the hard ones,
those that mpstat lists by kind. The sum is the kernel's own, from /proc/stat.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from triton_users.collect.rates import Growing, Growth
from triton_users.collect.sensor import Absent, Reading

FIELDS = ("usr", "nice", "sys", "idle", "iowait", "irq", "soft", "steal", "guest", "gnice")
"""In /proc/stat's order: proc_stat(5)."""
INTERRUPTS_SHARE = 0.003
"""Reading interrupts by kind may take this share of a processor: on large hosts it is done less often."""

Ticks = Mapping[str, float]


class Cpu:
    """The host's processors, from /proc."""

    source = "cpu"

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._last: dict[str, Ticks] = {}
        self._growing = Growing()
        self._interrupts_from_ns = 0

    def open(self) -> None:
        if not (self._proc / "stat").exists():
            raise Absent("there is no /proc/stat: it is Linux's")
        self.close()

    def sample(self, now_ns: int) -> Iterator[Reading]:
        total, processors = parse_stat((self._proc / "stat").read_text())
        interrupts = self._growing.of("all", now_ns, {"": total})
        by_cpu = dict(self._interrupts(now_ns))
        for cpu, ticks in processors.items():
            values = shares(self._last[cpu], ticks) if cpu in self._last else {}
            self._last[cpu] = ticks
            if cpu == "all" and interrupts:
                values["interrupt_rate"] = interrupts.per_second("")
            elif cpu in by_cpu:
                values["interrupt_rate"] = sum(map(by_cpu[cpu].per_second, by_cpu[cpu].by))
            if values:
                yield Reading({"cpu": cpu}, values)
        for cpu, growth in by_cpu.items():
            yield from _kinds(cpu, "hard", growth)
        if by_cpu:
            for cpu, growth in self._table("softirqs", now_ns):
                yield from _kinds(cpu, "soft", growth)

    def close(self) -> None:
        self._last.clear()
        self._growing = Growing()
        self._interrupts_from_ns = 0

    def _interrupts(self, now_ns: int) -> Iterator[tuple[str, Growth]]:
        if now_ns < self._interrupts_from_ns:
            return
        began = time.thread_time_ns()
        yield from self._table("interrupts", now_ns)
        cost = time.thread_time_ns() - began
        self._interrupts_from_ns = now_ns + int(cost / INTERRUPTS_SHARE)

    def _table(self, name: str, now_ns: int) -> Iterator[tuple[str, Growth]]:
        path = self._proc / name
        if not path.exists():
            return
        for cpu, counters in parse_table(path.read_text()).items():
            growth = self._growing.of(f"{name} {cpu}", now_ns, counters)
            if growth is not None:
                yield cpu, growth


def _kinds(cpu: str, what: str, growth: Growth) -> Iterator[Reading]:
    """For the files: the kinds that occurred, per second."""
    happened = {kind: growth.per_second(kind) for kind, count in growth.by.items() if count}
    if happened:
        yield Reading({"cpu": cpu, "interrupts": what}, happened, detail=True)


def parse_stat(text: str) -> tuple[int, dict[str, Ticks]]:
    """/proc/stat: the sum of interrupts, and ticks by processor, "all" first."""
    total = 0
    processors: dict[str, Ticks] = {}
    for line in text.splitlines():
        if line.startswith("cpu"):
            name, *numbers = line.split()
            ticks = dict(zip(FIELDS, map(int, numbers), strict=False))
            processors[name[3:] or "all"] = dict.fromkeys(FIELDS, 0) | ticks
        elif line.startswith("intr "):
            total = int(line.split(maxsplit=2)[1])
    return total, processors


def parse_table(text: str) -> dict[str, dict[str, float]]:
    """/proc/interrupts or /proc/softirqs: counts by processor and kind."""
    head, *lines = text.splitlines()
    names = [name.removeprefix("CPU") for name in head.split()]
    table: dict[str, dict[str, float]] = {name: {} for name in names}
    for line in lines:
        kind, *rest = line.split(maxsplit=len(names) + 1)
        if len(rest) < len(names) or not rest[len(names) - 1].isdigit():
            continue  # ERR and MIS: one number for all
        for name, count in zip(names, rest, strict=False):
            table[name][kind.removesuffix(":")] = int(count)
    return table


def shares(before: Ticks, after: Ticks) -> dict[str, float]:
    """mpstat's figures as ratios; empty where no tick has passed."""
    # The kernel may take back idle and iowait ticks: mpstat counts those as none, and so do we.
    by = {name: max(after[name] - before[name], 0) for name in FIELDS}
    total = sum(by[name] for name in FIELDS if name not in ("guest", "gnice"))
    if not total:
        return {}
    by["usr"] = max(by["usr"] - by["guest"], 0)
    by["nice"] = max(by["nice"] - by["gnice"], 0)
    return {f"cpu_{name}_ratio": round(by[name] / total, 6) for name in FIELDS}
