"""Processor time of the agent beside a run: python -m benchmarks.agent [SECONDS].

Starts a Triton of our own with two models, and the agent as a run starts it; prints what the
agent used per second after its start, and fails above the goal.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

import triton_users  # noqa: F401 - as a run has it
from triton_users import demo
from triton_users.clock import now_ns
from triton_users.collect.child import Job
from triton_users.collect.sensors import TritonAt
from triton_users.net import Channel, RpcError
from triton_users.process import Child, spawn
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton

GOAL_MS = 10.0
SETTLE_S = 4
MODELS = ("espcn", "identity_16")


def used_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return 1e3 * (times.user + times.system)


def ready(server: EmbeddedTriton) -> bool:
    channel = Channel(server.url)
    try:
        return Control(channel).ready()
    except RpcError:
        return False
    finally:
        channel.close(0)


@contextmanager
def settled() -> Iterator[tuple[Child, Path]]:
    """An agent that has run for ``SETTLE_S``, and the file that its lines go to."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with EmbeddedTriton(demo.build(folder / "models", MODELS), folder / "server.log") as server:
            server.wait_ready(lambda: ready(server))
            job = Job(now_ns(), TritonAt(server.url, MODELS, server.metrics_url))
            with (folder / "lines").open("wb") as lines:
                command = [sys.executable, "-m", "triton_users.collect.child", job.text()]
                agent = spawn(command, log=folder / "agent.log", stdout=lines.fileno())
                time.sleep(SETTLE_S)
                yield agent, folder / "lines"
                agent.stop()


def recorded(seconds: float) -> list[str]:
    """The lines of an agent: what it says first, and what it measures in ``SETTLE_S + seconds``."""
    with settled() as (agent, lines):
        time.sleep(seconds)
        agent.stop()
        return lines.read_text().splitlines()


def measure(seconds: float) -> tuple[float, float]:
    """(milliseconds of processor time a second, kilobytes of lines a second)."""
    with settled() as (agent, lines):
        process = psutil.Process(agent.pid)
        before, written = used_ms(process), lines.stat().st_size
        time.sleep(seconds)
        spent, grown = used_ms(process) - before, lines.stat().st_size - written
    return spent / seconds, grown / seconds / 1e3


def main(seconds: float) -> int:
    spent, grown = measure(seconds)
    met = spent <= GOAL_MS
    print(
        f"agent: {spent:.1f} ms of processor time a second ({psutil.cpu_count()} cores, {len(MODELS)} models)"
        f", {grown:.1f} kB of lines a second; goal {'met' if met else 'missed'} (at most {GOAL_MS:g} ms)"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0))
