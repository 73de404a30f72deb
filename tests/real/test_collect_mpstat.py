"""The host's processors as mpstat (sysstat) sees them: beside it under load, and to its last digit on the
same counters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triton_users.collect.cpu import Cpu
from triton_users.collect.sensor import Reading
from triton_users.metrics import CPU_SHARES
from triton_users.units import NS_PER_S

SECONDS = 4
MPSTAT = ("mpstat", "-o", "JSON", "-P", "ALL", "-u", "-I", "SUM,CPU")


@pytest.fixture(scope="module", autouse=True)
def mpstat() -> None:
    if shutil.which("mpstat") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mpstat is missing: apt-get install sysstat")
        pytest.skip("mpstat is not installed (Debian's package sysstat)")


def told(output: str) -> dict[str, Any]:
    statistics: dict[str, Any] = json.loads(output)["sysstat"]["hosts"][0]["statistics"][0]
    return statistics


def sampled(sensor: Cpu, now_ns: int) -> dict[str, dict[str, float]]:
    return by_cpu(sensor.sample(now_ns))


def by_cpu(readings: Iterable[Reading]) -> dict[str, dict[str, float]]:
    return {one.labels["cpu"]: dict(one.values) for one in readings if not one.detail}


BURN = """
import os, time
while True:
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        os.urandom(4096)
    time.sleep(0.05)
"""


@pytest.fixture
def burner() -> Iterator[None]:
    """Half a processor in user code and some in the kernel."""
    process = subprocess.Popen([sys.executable, "-c", BURN])
    yield
    process.kill()
    process.wait()


def test_beside_mpstat_under_load(burner: None) -> None:
    """Both read the counters within moments of each other: ticks of that time are the only difference."""
    sensor = Cpu()
    sensor.open()
    began = time.monotonic_ns()
    sampled(sensor, began)
    output = subprocess.run([*MPSTAT, str(SECONDS), "1"], capture_output=True, text=True, check=True).stdout
    ended = time.monotonic_ns()
    ours, theirs = sampled(sensor, ended), told(output)
    beside = (ended - began) / 1e9 - SECONDS
    slack = (2 * beside + 0.05) / SECONDS  # what happened before mpstat's first look and after its last
    assert ours.keys() == {one["cpu"] for one in theirs["cpu-load"]}
    for one in theirs["cpu-load"]:
        for name in CPU_SHARES:
            share = ours[one["cpu"]][f"cpu_{name}_ratio"]
            assert share == pytest.approx(one[name] / 100, abs=slack + 1e-4), (one["cpu"], name)
    busy = 1 - ours["all"]["cpu_idle_ratio"]
    assert busy > 0.1
    everything = next(one["intr"] for one in theirs["sum-interrupts"] if one["cpu"] == "all")
    assert ours["all"]["interrupt_rate"] == pytest.approx(everything, rel=0.5)


SCRIPT = """
set -e
for file in stat interrupts softirqs; do mount --bind {0}/$file /proc/$file; done
(sleep 0.5; for file in stat interrupts softirqs; do cat {0}/$file.later >{0}/$file; done) &
exec mpstat -o JSON -P ALL -u -I SUM,CPU,SCPU 1 1
"""
HARD = """           CPU0
  7:   {0}   IO-APIC   timer
LOC:  {1}   Local timer interrupts
RES:  9   Rescheduling interrupts
"""
SOFT = """                CPU0
      TIMER:   {0}
     NET_RX:   {1}
      BLOCK:   9
"""
HAPPENED = {"hard": {"7": 3, "LOC": 1000}, "soft": {"TIMER": 250, "NET_RX": 17}}
"""By kind, between the two states of the counters; the others are as before."""


def test_to_the_last_digit_on_the_same_counters(tmp_path: Path) -> None:
    """mpstat in a mount namespace of its own, where /proc/stat is ours: guests and all."""
    may = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if may.returncode:
        why = "this system gives no mount namespace (unshare -rm)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    before = "cpu{0}  10000 2000 3000 90000 400 50 60 70 800 90\n"
    after = "cpu{0}  10061 2017 3013 90017 407 53 61 72 819 93\n"
    (tmp_path / "stat").write_text(before.format("") + before.format("0") + "intr 5000 1\nctxt 1\n")
    later = after.format("") + after.format("0") + "intr 6234 1\nctxt 1\n"
    (tmp_path / "stat.later").write_text(later)
    for name, table, counts in (("interrupts", HARD, "hard"), ("softirqs", SOFT, "soft")):
        grown = HAPPENED[counts].values()
        (tmp_path / name).write_text(table.format(100, 200))
        (tmp_path / f"{name}.later").write_text(
            table.format(*(n + m for n, m in zip((100, 200), grown, strict=True)))
        )
    sensor = Cpu(tmp_path)
    sensor.open()
    sampled(sensor, 0)
    sampled(sensor, NS_PER_S)  # soft interrupts are read from the second time on
    output = subprocess.run(
        ["unshare", "-rm", "sh", "-c", SCRIPT.format(tmp_path)], capture_output=True, text=True, check=False
    )
    assert not output.returncode, output.stderr
    assert (tmp_path / "stat").read_text() == later
    theirs = told(output.stdout)
    readings = list(sensor.sample(2 * NS_PER_S))
    ours = by_cpu(readings)
    load = {one["cpu"]: one for one in theirs["cpu-load"]}
    for cpu in ("all", "0"):
        for name in CPU_SHARES:
            assert round(100 * ours[cpu][f"cpu_{name}_ratio"], 2) == load[cpu][name], (cpu, name)
    assert load["0"]["guest"] > 0 and load["0"]["steal"] > 0
    # Interrupts are told per second of mpstat's own second, which is a little longer than one.
    second = ours["all"]["interrupt_rate"] / theirs["sum-interrupts"][0]["intr"]
    assert second == pytest.approx(1, rel=0.1)
    assert {one.labels["interrupts"]: one.values for one in readings if one.detail} == HAPPENED
    for listed, kind in (("individual-interrupts", "hard"), ("soft-interrupts", "soft")):
        (processor,) = theirs[listed]
        rates = {one["name"]: one["value"] for one in processor["intr"]}
        assert {name for name, rate in rates.items() if rate} == HAPPENED[kind].keys()
        for name, count in HAPPENED[kind].items():
            assert rates[name] * second == pytest.approx(count, rel=1e-3, abs=0.01), (kind, name)
