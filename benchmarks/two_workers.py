"""Two workers against one at 10,000/s, open loop, on one machine: same latencies, and at what cost.

    .venv/bin/python -m benchmarks.two_workers [--rounds 4]

Rounds of either are interleaved. Latencies are the same within noise unless two workers are slower in each of
their rounds than one is in any of its own: with four rounds of two equals, chance does that once in 70. Ends
with 1 where they are slower so, in p50 or p99, or where CPU misses its goal.

The total CPU per request of two may be half as much again as that of one: each send carries fewer requests.
How many is counted by perf (Debian package linux-perf) in a run of its own; without perf it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from triton_users import demo
from triton_users.net import Channel, RpcError
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton

LOCUST = Path(sys.executable).with_name("locust")
LOCUSTFILE = Path(__file__).parents[1] / "locustfiles/any.py"
MODEL = "identity_16"
RATE = 10_000
GOAL = 1.5
LATENCIES = ("p50_us", "p99_us")
LIMIT_S = 120.0
PERF = ("perf", "stat", "-x,", "-e", "syscalls:sys_enter_sendto,syscalls:sys_enter_sendmsg")
COUNTED_S = 3


class Cluster:
    """A master with so many local workers, all started at once, and a folder that it makes; as a context
    manager it leaves no process behind."""

    def __init__(self, folder: Path, url: str, workers: int, load: Sequence[str]) -> None:
        folder.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self.folder = folder
        one = [str(LOCUST), "-f", str(LOCUSTFILE), "--headless", "--no-agent", "-H", url, "-m", MODEL, *load]
        master = [*one, "--master", "--master-bind-port", port, "--expect-workers", str(workers)]
        worker = [str(LOCUST), "-f", "-", "--worker", "--master-port", port]
        self._processes = [
            self._start(master, "master"),
            *(self._start(worker, f"{n}") for n in range(workers)),
        ]

    def _start(self, command: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        """With a /tmp of its own: Locust keeps the master's locustfile there, under one name for all."""
        place = self.folder / name
        place.mkdir()
        with (self.folder / "output.txt").open("ab") as out:
            env = os.environ | {"TMPDIR": str(place)}
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=out, stderr=out)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()

    @property
    def workers(self) -> list[int]:
        """Their process ids."""
        return [process.pid for process in self._processes[1:]]

    def said(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def wait(self) -> None:
        """Until the master has ended."""
        self._processes[0].wait(LIMIT_S)

    def row(self) -> dict[str, Any]:
        """The summary's one row."""
        [row] = json.loads(next(self.folder.glob("results/*/summary.json")).read_text())["steps"]
        return dict(row)


@contextmanager
def model_server(folder: Path) -> Iterator[str]:
    """The address of a Triton that answers."""
    repository = demo.build(folder / "models", [MODEL])
    with EmbeddedTriton(repository, folder / "server.log") as server:
        server.wait_ready(lambda: _ready(server.url))
        yield server.url


def load(seconds: int) -> list[str]:
    return ["--request-rate-range", str(RATE), "-p", f"{seconds}s", "--warm-up", "2s"]


def sends_per_request(folder: Path, url: str, workers: int) -> float | None:
    """System calls that send, of all workers, for each arrival; None where perf cannot count them."""
    with Cluster(folder, url, workers, load(3 * COUNTED_S)) as cluster:
        deadline = time.monotonic() + LIMIT_S
        while "measuring" not in cluster.said() and time.monotonic() < deadline:
            time.sleep(0.1)
        watched = ["-p", ",".join(map(str, cluster.workers)), "--", "sleep", str(COUNTED_S)]
        try:
            found = subprocess.run(
                [*PERF, *watched], capture_output=True, text=True, timeout=LIMIT_S, check=True
            )
            counts = [int(line.split(",")[0]) for line in found.stderr.split() if "sys_enter" in line]
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
    return sum(counts) / (RATE * COUNTED_S)


def measure(folder: Path, url: str, workers: int, seconds: int) -> dict[str, float]:
    """The one row's figures; CPU in µs per request, of all workers together."""
    with Cluster(folder, url, workers, load(seconds)) as cluster:
        cluster.wait()
    row = cluster.row()
    cpu: float = sum(generator["cpu_ratio"] for generator in row["generators"])
    return {
        "rate": row["achieved_request_rate"],
        "p50_us": row["latency_ns"]["p50"] / 1e3,
        "p99_us": row["latency_ns"]["p99"] / 1e3,
        "lag_p99_us": row["send_lag_ns"]["p99"] / 1e3,
        "cpu_us": cpu * 1e6 / row["achieved_request_rate"],
        "late": row["late"] / max(row["sent"], 1),
    }


Rounds = dict[int, list[dict[str, float]]]
"""Each round's figures, by number of workers."""


def compare(rounds: int, seconds: int) -> tuple[Rounds, dict[int, float | None]]:
    """Interleaved rounds, and sends per request by number of workers."""
    found: Rounds = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name, model_server(Path(name)) as url:
        for number in range(rounds):
            for workers, results in found.items():
                results.append(measure(Path(name) / f"{number}-{workers}", url, workers, seconds))
        sends = {
            workers: sends_per_request(Path(name) / f"sends-{workers}", url, workers) for workers in found
        }
    return found, sends


def median(results: list[dict[str, float]], figure: str) -> float:
    return statistics.median(one[figure] for one in results)


def slower(found: Rounds) -> list[str]:
    """The latencies in which two workers are slower than one beyond noise."""
    return [
        figure
        for figure in LATENCIES
        if min(one[figure] for one in found[2]) > max(one[figure] for one in found[1])
    ]


def _ready(url: str) -> bool:
    channel = Channel(url)
    try:
        return Control(channel).ready()
    except RpcError:
        return False
    finally:
        channel.close(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    found, sends = compare(options.rounds, options.seconds)
    for workers, results in found.items():
        told = [f"{figure} {median(results, figure):,.2f}" for figure in results[0]]
        if (counted := sends[workers]) is not None:
            told.append(f"sends_per_request {counted:,.2f}")
        print(f"{workers} workers, medians: " + ", ".join(told))
    for figure in LATENCIES:
        ranges = (sorted(one[figure] for one in results) for results in found.values())
        told = [f"{values[0]:,.0f} to {values[-1]:,.0f}" for values in ranges]
        verdict = "slower" if figure in slower(found) else "the same within noise"
        print(f"{figure}, one worker and two, over the rounds: {'; '.join(told)}: {verdict}")
    ratio = median(found[2], "cpu_us") / median(found[1], "cpu_us")
    met = ratio <= GOAL and not slower(found)
    print(f"CPU per request, two to one: {ratio:.2f}")
    print(f"goal {'met' if met else 'missed'} (CPU at most {GOAL:g}, latencies the same)")
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
