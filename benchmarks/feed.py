"""What the feed costs: CPU per second of a run with 10 workers and 2 models, as its process accounts for it.

``python -m benchmarks.feed`` writes the seconds as they come, each to be written on its own, to a real
InfluxDB (tests/influx.py): a merged second made up for 10 workers, and what an agent beside a Triton with two
models said in a second of its own (benchmarks.agent). The goal is 10 ms of CPU per second.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks import agent
from tests.influx import BUCKET, find_or_build, started
from triton_users.clock import wall_ns
from triton_users.sinks.events import OPEN_LOOP
from triton_users.sinks.feed_child import FeedChild
from triton_users.sinks.feed_status import StatusFile
from triton_users.sinks.folder import ResultsFolder, RunRecord
from triton_users.sinks.influx_target import InfluxTarget
from triton_users.stats.histogram import from_values
from triton_users.stats.timeline import Timeline
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, Generator, Key, Series, Window
from triton_users.step import RequestClass
from triton_users.units import NS_PER_MS, NS_PER_S

WORKERS, SECONDS, RATE = 10, 30, 500
"""RATE: requests a second of each worker and model."""
GOAL_MS = 10.0
_CLASSES = tuple(RequestClass(model, 1, (("INPUT", (16,)),)) for model in ("first", "second"))
_TICKS_PER_S = 100
_POLL_S = 0.05


def main() -> int:
    """Prints the cost; 1 if it is above the goal."""
    with tempfile.TemporaryDirectory() as scratch:
        influx = started(find_or_build(), Path(scratch) / "influxdb")
        try:
            cost_ms = _measure(Path(scratch), InfluxTarget(influx.url, BUCKET))
        finally:
            influx.kill()
    met = cost_ms <= GOAL_MS
    print(
        f"feed: {cost_ms:.2f} ms of CPU per second at {WORKERS} workers and {len(_CLASSES)} models"
        f"; goal {'met' if met else 'missed'} (at most {GOAL_MS:g} ms)"
    )
    return 0 if met else 1


def _measure(scratch: Path, target: InfluxTarget) -> float:
    record = RunRecord(
        id="cost",
        seed=0,
        zero_wall_ns=wall_ns(),
        command=["benchmark"],
        options={},
        versions={},
        hosts=["here"],
    )
    folder = ResultsFolder.create(scratch, "feed.py", record)
    folder.windows.touch()
    seconds = [[line, *beside] for line, beside in zip(_lines(), _samples(), strict=True)]
    status = StatusFile(folder.path / "feed.status")
    child = FeedChild(folder, target)
    child.start()
    try:
        _append(folder, seconds[0])
        _wait(status, len(seconds[0]))
        before = _cpu_s(child.pid)
        begun = time.monotonic()
        for count, lines in enumerate(seconds[1:], 1):
            _append(folder, lines)
            time.sleep(max(begun + count - time.monotonic(), 0))
        _wait(status, sum(map(len, seconds)))
        spent_ms = (_cpu_s(child.pid) - before) * 1000 / SECONDS
    finally:
        list(child.finish(sum(map(len, seconds))))
    size = folder.windows.stat().st_size / len(seconds) / 1000
    print(f"spool: {mean(map(len, seconds)):.0f} lines and {size:.0f} kB a second")
    return spent_ms


def _lines() -> Iterator[str]:
    """One merged second after the other, with latencies spread over a factor of ten."""
    draw = np.random.default_rng(1)
    timeline = Timeline()
    timeline.expect(range(WORKERS))
    for second in range(SECONDS + 1):
        for worker in range(WORKERS):
            series = {Key(f"User{i}", cls, 0): _series(draw) for i, cls in enumerate(_CLASSES)}
            start = second * NS_PER_S
            generator = Generator(0.3, NS_PER_MS, 0, 0)
            window = Window(worker, second, second, 0, start, start + NS_PER_S, series, 4, 4, 0, generator)
            for line in timeline.add(window):
                told = {"name": "rate", OPEN_LOOP: [f"User{i}" for i in range(len(_CLASSES))]}
                yield json.dumps(line | told, separators=(",", ":"))


def _samples() -> list[list[str]]:
    """An agent's lines, second by second: the first has what it says of its sensors, too."""
    found: list[list[str]] = [[] for _ in range(SECONDS + 1)]
    for line in agent.recorded(SECONDS + 2):
        second = int(json.loads(line).get("at_ns", agent.SETTLE_S * NS_PER_S)) // NS_PER_S - agent.SETTLE_S
        if 0 <= second <= SECONDS:
            found[second].append(line)
    return found


def _series(draw: np.random.Generator) -> Series:
    service = (draw.lognormal(0, 0.5, RATE) * 5 * NS_PER_MS).astype(np.int64)
    lag = (draw.lognormal(0, 0.5, RATE) * 50_000).astype(np.int64)
    hists = {LATENCY: service + lag, SERVICE_LATENCY: service, SEND_LAG: lag}
    found = {name: from_values(values) for name, values in hists.items()}
    return Series(scheduled=RATE, sent=RATE, ok=RATE, inferences=RATE, completed=RATE, hists=found)


def _append(folder: ResultsFolder, lines: list[str]) -> None:
    with folder.windows.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def _wait(status: StatusFile, lines: int) -> None:
    while (found := status.read()) is None or found.lines < lines:
        time.sleep(_POLL_S)


def _cpu_s(pid: int | None) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


if __name__ == "__main__":
    sys.exit(main())
