"""From the start of a master and four local workers to the first request, Triton already up.

    .venv/bin/python -m benchmarks.start_workers [--rounds 3]

Seen from outside: Triton's own count says when a request was answered.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.two_workers import MODEL, Cluster, model_server
from triton_users.net import Channel
from triton_users.server.control import Control

WORKERS = 4
GOAL_S = 5.0
POLL_S = 0.02
LIMIT_S = 60.0


def measure(folder: Path, url: str) -> float:
    """Seconds from the first process's start to the first answer."""
    channel = Channel(url)
    control = Control(channel)
    before = answered(control)
    begun_s = time.monotonic()
    load = ["--request-rate-range", "400", "-p", "1s", "--warm-up", "1s"]
    try:
        with Cluster(folder, url, WORKERS, load) as cluster:
            while answered(control) == before:
                if time.monotonic() - begun_s > LIMIT_S:
                    raise SystemExit(f"no request within {LIMIT_S:g} s:\n{cluster.said()}")
                time.sleep(POLL_S)
            found_s = time.monotonic() - begun_s
            cluster.wait()
            return found_s
    finally:
        channel.close(0)


def answered(control: Control) -> int:
    stats = control.statistics(MODEL).model_stats
    return sum(one.inference_stats.success.count for one in stats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, model_server(Path(name)) as url:
        found = [measure(Path(name) / str(number), url) for number in range(options.rounds)]
    each = ", ".join(f"{seconds:.2f}" for seconds in found)
    median = statistics.median(found)
    print(f"start of a master and {WORKERS} workers to the first request: {each} s")
    met = median <= GOAL_S
    print(f"median {median:.2f} s; goal {'met' if met else 'missed'} (at most {GOAL_S:g} s)")
    raise SystemExit(not met)


if __name__ == "__main__":
    main()
