"""On what a bench ran: processor, system, and the version of every tool."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.peers.h2load import H2load
from benchmarks.peers.perf_analyzer_install import VERSION as PERF_ANALYZER_VERSION
from triton_users.units import NS_PER_US

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("locust", "gevent", "numpy", "tritonclient", "grpcio")
COMMAND_S = 10
CPUIDLE = Path("/sys/devices/system/cpu/cpuidle")
NO_DRIVER, POLLING = "none", "haltpoll"
HALT_POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_S, cwd=ROOT, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _idle() -> str:
    """What an idle processor does: on a virtual machine that halts at once, each waking is an exit to the
    hypervisor, which all clients pay at few requests in flight."""
    try:
        driver, governor = (
            (CPUIDLE / f"current_{part}").read_text().strip() for part in ("driver", "governor")
        )
    except OSError:
        return "unknown"
    found = f"driver {driver}, governor {governor}"
    if driver == NO_DRIVER or governor != POLLING:  # the parameter is there whether or not it is used
        return found
    return f"{found}, polls {int(HALT_POLL.read_text()) / NS_PER_US:g} µs before it halts"


def describe(triton: str = "") -> dict[str, str]:
    """In the order in which it is printed. ``triton`` is the version that the server gave."""
    changed = " with changes" if _output("git", "status", "--porcelain", "-uno") else ""
    facts = {
        "CPU": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
        "idle": _idle(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "this project": _output("git", "rev-parse", "--short", "HEAD") + changed,
        **({"Triton": triton} if triton else {}),
        "Perf Analyzer": f"of tritonclient {PERF_ANALYZER_VERSION}",
        "h2load": _output("h2load", "--version").removeprefix("h2load ") if H2load.available() else "absent",
    }
    return {**facts, **{name: version(name) for name in PACKAGES}}
