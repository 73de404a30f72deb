"""The runs that the dashboards are looked at with: a real one of two workers, and two that are made up.

One of these holds what this machine may lack: failures, an ensemble, GPUs, energy counters, a second host.
The other was killed as it began, on a host of the first.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.nvml import MadeUpNvml
from tests.feed_example import append, results_folder
from tests.grafana_rules import Chosen, Json, panels, read
from tests.influx import Influx
from tests.real.locust_process import LocustProcess, finish
from tests.real.replay import replay
from tests.unit.test_collect_sensors import jetson
from triton_users.clock import wall_ns
from triton_users.collect.jetson import Jetson
from triton_users.collect.nvml import Nvml
from triton_users.collect.powercap import Powercap
from triton_users.collect.sensor import Reading, Sample, Sensor
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.events import event_line
from triton_users.sinks.folder import ResultsFolder, RunRecord
from triton_users.units import NS_PER_MS, NS_PER_S

RATES = ("200", "300")
KILLED = "dead"
MADE_UP_SECONDS = 12
DISK = Reading(
    {"disk": "sda"}, {"disk_read_bytes_per_s": 1e6, "disk_write_bytes_per_s": 2e6, "disk_busy_ratio": 0.5}
)
BUSY = Reading({"cpu": "all"}, {"cpu_usr_ratio": 0.5, "cpu_sys_ratio": 0.25, "cpu_idle_ratio": 0.25})
OF_TRITON = Reading(
    {"uuid": "GPU-1"},
    {
        "nv_gpu_utilization": 0.5,
        "nv_gpu_power_usage": 90.0,
        "nv_gpu_memory_used_bytes": 1e9,
        "nv_energy_consumption": 1e3,
    },
)
Points = dict[int, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """A database with the runs; the real one's results."""

    influx: Influx
    run: str
    summary: Json
    lines: list[Json]
    samples: list[Json]
    zero_ns: int
    end_ms: int

    @property
    def zero_ms(self) -> int:
        return self.zero_ns // NS_PER_MS

    def chosen(self, interval_s: int = 1, **values: str | list[str]) -> Chosen:
        """The real run, unless ``values`` say otherwise, in a range of time that holds all."""
        return Chosen(self.zero_ms - 1000, self.end_ms + 11_000, interval_s, {"run": [self.run], **values})

    def lines_of(self, step: int | None) -> list[Json]:
        """The seconds of a step, or all."""
        return [line for line in self.lines if step in (None, line["step"])]

    def series(self, file: str, title: str, chosen: Chosen) -> list[Json]:
        """What the queries of a panel get."""
        dashboard = read(file)
        (panel,) = (panel for panel in panels(dashboard) if panel["title"] == title)
        return [
            series
            for target in panel["targets"]
            for series in self.influx.query(chosen.filled(dashboard, target["query"]))
        ]

    def one(self, file: str, title: str, chosen: Chosen) -> dict[str, Points]:
        """A panel's only series: by column, what it shows at which time."""
        (series,) = self.series(file, title, chosen)
        return columns(series)


def columns(series: Json) -> dict[str, Points]:
    """By column its values, those that are there, by time."""
    names = series["columns"][1:]
    return {
        name: {row[0]: row[at] for row in series["values"] if row[at] is not None}
        for at, name in enumerate(names, 1)
    }


def has_data(series: list[Json]) -> bool:
    return any(value is not None for one in series for row in one["values"] for value in row[1:])


def real_run(root: Path, triton: EmbeddedTriton, influx: Influx) -> Seen:
    with LocustProcess(
        root / "run",
        *("-H", triton.url, "--metrics-url", triton.metrics_url, "-m", "identity_16", "--processes", "2"),
        *("--request-rate-range", ",".join(RATES), "--warm-up", "500ms", "-p", "2s"),
        *("--latency-threshold", "1ms", *influx.arguments),
    ) as process:
        finish(process)
        record = json.loads((process.folder / "run.json").read_text())
        spool = [json.loads(line) for line in (process.folder / "windows.jsonl").read_text().splitlines()]
        return Seen(
            influx=influx,
            run=record["id"],
            summary=process.summary,
            lines=process.lines,
            samples=[line for line in spool if line["kind"] == "sample"],
            zero_ns=record["zero_wall_ns"],
            end_ms=wall_ns() // NS_PER_MS,
        )


def made_up_run(root: Path, influx: Influx, zero_wall_ns: int) -> None:
    folder = results_folder(root, MADE_UP_SECONDS, zero_wall_ns)
    energy = root / "powercap/intel-rapl:0"
    energy.mkdir(parents=True)
    for name, text in {"name": "package-0", "max_energy_range_uj": "1000000000"}.items():
        (energy / name).write_text(text)
    used = energy / "energy_uj"
    used.write_text("0")
    on_host: dict[str, list[Sensor]] = {
        "box": [Nvml(MadeUpNvml), Powercap(root / "powercap")],
        "board": [Jetson(jetson(root / "jetson"))],
    }
    for sensor in itertools.chain(*on_host.values()):
        sensor.open()
    for second in range(MADE_UP_SECONDS):
        used.write_text(str(5_000_000 * second))
        append(folder, sampled("disk", "box", second, DISK))
        append(folder, sampled("triton_metrics", "box", second, OF_TRITON))
        for host, sensors in on_host.items():
            append(folder, sampled("cpu", host, second, BUSY))
            for sensor in sensors:
                for reading in sensor.sample(second * NS_PER_S):
                    append(folder, sampled(sensor.source, host, second, reading))
    replay(folder.path, *influx.arguments)


def killed_run(root: Path, influx: Influx, zero_wall_ns: int) -> None:
    record = RunRecord(
        id=KILLED, seed=1, zero_wall_ns=zero_wall_ns, command=["locust"], options={}, versions={}, hosts=[]
    )
    folder = ResultsFolder.create(root, "killed.py", record)
    append(folder, event_line(0, "run_start", 0, f"run {KILLED}", "locust -f killed.py"))
    append(folder, sampled("cpu", "box", 0, BUSY))
    replay(folder.path, *influx.arguments)


def sampled(source: str, host: str, second: int, reading: Reading) -> dict[str, Any]:
    sample = Sample(source, host, second * NS_PER_S, reading.labels, reading.values)
    line: dict[str, Any] = json.loads(sample.line())
    return line
