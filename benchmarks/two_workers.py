"""Two workers against one at 10,000/s, open loop, on one machine: same latencies, and at what cost.

    .venv/bin/python -m benchmarks.two_workers [--rounds 3]

The total CPU per request of two may be half as much again as that of one: each send carries fewer requests.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from triton_users import demo
from triton_users.net import Channel, RpcError
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton

LOCUST = Path(sys.executable).with_name("locust")
LOCUSTFILE = Path(__file__).parents[1] / "locustfiles/any.py"
RATE = 10_000
GOAL = 1.5


def measure(folder: Path, url: str, workers: int, seconds: int) -> dict[str, float]:
    """The one row's figures; CPU in µs per request, of all workers together."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    load = ["-H", url, "-m", "identity_16", "--request-rate-range", str(RATE), "-p", f"{seconds}s"]
    one = [str(LOCUST), "-f", str(LOCUSTFILE), "--headless", "--warm-up", "2s", "--no-agent", *load]
    master = [*one, "--master", "--master-bind-port", port, "--expect-workers", str(workers)]
    worker = [str(LOCUST), "-f", "-", "--worker", "--master-port", port]
    out = (folder / "output.txt").open("wb")
    others = [subprocess.Popen(worker, cwd=folder, stdout=out, stderr=out) for _ in range(workers)]
    try:
        subprocess.run(master, cwd=folder, stdout=out, stderr=out, check=False, timeout=120)
    finally:
        for other in others:
            other.terminate()
            other.wait()
    [row] = json.loads(next(folder.glob("results/*/summary.json")).read_text())["steps"]
    cpu: float = sum(generator["cpu_ratio"] for generator in row["generators"])
    return {
        "rate": row["achieved_request_rate"],
        "p50_us": row["latency_ns"]["p50"] / 1e3,
        "p99_us": row["latency_ns"]["p99"] / 1e3,
        "lag_p99_us": row["send_lag_ns"]["p99"] / 1e3,
        "cpu_us": cpu * 1e6 / row["achieved_request_rate"],
        "late": row["late"] / max(row["sent"], 1),
    }


def compare(rounds: int, seconds: int) -> dict[int, dict[str, float]]:
    """Medians over interleaved rounds, by number of workers."""
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        repository = demo.build(Path(name) / "models", ["identity_16"])
        with EmbeddedTriton(repository, Path(name) / "server.log") as server:
            server.wait_ready(lambda: _ready(server.url))
            for number in range(rounds):
                for workers, results in found.items():
                    results.append(measure(Path(name) / f"{number}-{workers}", server.url, workers, seconds))
    return {w: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for w, rs in found.items()}


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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    found: Any = compare(options.rounds, options.seconds)
    for workers, figures in found.items():
        print(f"{workers} workers: " + ", ".join(f"{name} {value:,.2f}" for name, value in figures.items()))
    ratio = found[2]["cpu_us"] / found[1]["cpu_us"]
    print(f"CPU per request, two to one: {ratio:.2f} (goal: at most {GOAL:g})")
    raise SystemExit(ratio > GOAL)


if __name__ == "__main__":
    main()
