"""Every query of the committed dashboards against a real InfluxDB, after a real run with two workers.

A second, made-up run holds what this machine may lack: failures, an ensemble, GPUs, energy counters.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nvml import MadeUpNvml
from tests.feed_example import RUN as MADE_UP
from tests.feed_example import append, results_folder
from tests.grafana_rules import ALL, NAMES, TOTALS, Chosen, Json, panels, queries, read, variables
from tests.influx import Influx, started
from tests.influx2 import Influx2
from tests.real.locust_process import LocustProcess, finish
from tests.real.replay import replay
from tests.unit.test_collect_sensors import jetson
from triton_users.clock import wall_ns
from triton_users.collect.jetson import Jetson
from triton_users.collect.nvml import Nvml
from triton_users.collect.powercap import Powercap
from triton_users.collect.sensor import Reading, Sample, Sensor
from triton_users.metrics import EDGES_NS
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.points_window import up_to_edges
from triton_users.stats.histogram import merge, percentile
from triton_users.stats.lines import line_series
from triton_users.stats.window import LATENCY, SERVICE_LATENCY
from triton_users.units import NS_PER_MS, NS_PER_S

RATES = ("200", "300")
MADE_UP_SECONDS = 12
ONLY_MADE_UP = {
    "Failed by gRPC status",
    "Steps: models that an ensemble is composed of",
    "CPU power",
    "CPU energy",
    "Rail power",
    "Disk",
    "Disk busy",
}
"""Panels, beside those of GPUs, that a run without such things leaves empty."""
DISK = Reading(
    {"disk": "sda"}, {"disk_read_bytes_per_s": 1e6, "disk_write_bytes_per_s": 2e6, "disk_busy_ratio": 0.5}
)
INTERVALS_S = (1, 10)
Points = dict[int, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """A database with two runs; the real one's results."""

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
        """The real run, unless ``values`` say otherwise, in a range of time that holds both."""
        return Chosen(self.zero_ms - 1000, self.end_ms + 11_000, interval_s, {"run": [self.run], **values})

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


# The two runs


@pytest.fixture(scope="module", params=["influxd", pytest.param("influxd2", marks=pytest.mark.slow)])
def seen(
    request: pytest.FixtureRequest, triton: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    """On InfluxDB 1.8 and 2."""
    root = tmp_path_factory.mktemp("grafana")
    kind = Influx2 if request.param == "influxd2" else Influx
    influx = started(request.getfixturevalue(request.param), root / "influxdb", kind)
    try:
        run = real_run(root, triton, influx)
        made_up_run(root, influx, run.zero_ns)
        yield run
    finally:
        influx.kill()


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
        for host, sensors in on_host.items():
            for sensor in sensors:
                for reading in sensor.sample(second * NS_PER_S):
                    append(folder, sampled(sensor.source, host, second, reading))
    replay(folder.path, *influx.arguments)


def sampled(source: str, host: str, second: int, reading: Reading) -> dict[str, Any]:
    sample = Sample(source, host, second * NS_PER_S, reading.labels, reading.values)
    line: dict[str, Any] = json.loads(sample.line())
    return line


# Everything answers


@pytest.mark.parametrize("interval_s", INTERVALS_S)
@pytest.mark.parametrize("file", NAMES)
def test_every_query_answers_for_a_step_a_run_and_two_runs(seen: Seen, file: str, interval_s: int) -> None:
    choices: list[dict[str, str | list[str]]] = [
        {"step": ["00"]},
        {"step": "01", "run": seen.run, "worker": "1", "model": "identity_16"},
        {},
        {"run": [seen.run, MADE_UP], "step": ["00", "01"], "worker": ["0", "1"]},
    ]
    dashboard = read(file)
    for values, (title, query) in itertools.product(choices, queries(dashboard)):
        for one in seen.influx.query(seen.chosen(interval_s, **values).filled(dashboard, query)):
            assert one["columns"], title


@pytest.mark.parametrize("file", NAMES)
def test_no_panel_is_empty_whose_data_is_there(seen: Seen, file: str) -> None:
    dashboard = read(file)
    for panel, interval_s in itertools.product(panels(dashboard), INTERVALS_S):
        title = panel["title"]
        of_both = seen.series(file, title, seen.chosen(interval_s, run=[seen.run, MADE_UP]))
        assert has_data(of_both), f"{title}: neither run"
        if title not in ONLY_MADE_UP and not title.startswith("GPU"):
            assert has_data(seen.series(file, title, seen.chosen(interval_s))), f"{title}: the real run"
            of_step = seen.series(file, title, seen.chosen(interval_s, step=["00"]))
            assert has_data(of_step), f"{title}: one step"


def test_variables_offer_what_is_there_the_newest_run_first(seen: Seen) -> None:
    def values(file: str, name: str) -> list[str]:
        dashboard = read(file)
        query = variables(dashboard)[name]["query"]
        found = seen.influx.query(seen.chosen().filled(dashboard, query))
        return list(dict.fromkeys(row[1] for series in found for row in series["values"]))

    assert set(values("live.json", "run")) == {seen.run, MADE_UP}
    assert values("live.json", "step") == ["00", "01"]
    assert values("live.json", "model") == values("server.json", "model") == ["identity_16"]
    assert values("hardware.json", "worker") == ["0", "1"]


def test_events_make_marks_and_bands(seen: Seen) -> None:
    dashboard = read("live.json")
    found = {}
    for annotation in dashboard["annotations"]["list"]:
        target = annotation["target"]
        rows = seen.influx.rows(seen.chosen().filled(dashboard, target["query"]))
        keys = [target[f"{name}Column"] for name in ("text", "tags", "title", "timeEnd")]
        assert all(set(keys) <= row.keys() for row in rows)
        found[annotation["name"]] = rows
    bands = [row for row in found["Steps"] if row["until_ms"] is not None]
    assert [row["event"] for row in bands] == ["step_end"] * 2
    assert all(row["until_ms"] - row["time"] // NS_PER_MS > 2000 for row in bands)
    assert [rate in row["title"] for rate, row in zip(RATES, bands, strict=True)] == [True, True]
    assert [row["event"] for row in found["Runs"] if row["until_ms"] is not None] == ["run_end"]
    assert [row["event"] for row in found["Workers and server"]] == ["worker_joined"] * 2
    assert len(found["Reasons"]) == len(seen.summary["reasons"])


# And tells the truth


@pytest.mark.parametrize("steps", [("00",), ("01",), ("00", "01"), ALL], ids=str)
def test_totals_are_the_summarys_to_the_unit(seen: Seen, steps: tuple[str, ...] | str) -> None:
    numbers = range(len(RATES)) if steps == ALL else map(int, steps)
    rows = [seen.summary["steps"][number] for number in numbers]
    chosen = seen.chosen(step=steps if isinstance(steps, str) else list(steps))
    for title, name in TOTALS.items():
        (points,) = seen.one("live.json", title, chosen).values()
        assert list(points.values()) == [sum(row[name] for row in rows)], title


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_two_runs_at_once_are_told_apart(seen: Seen, interval_s: int) -> None:
    """They even overlap in time: each has the figures that it has alone."""
    for title in ("Answered", "Offered and achieved rate", "In flight"):
        both = seen.series("live.json", title, seen.chosen(interval_s, run=[MADE_UP, seen.run]))
        assert {one["tags"]["run"] for one in both} == {seen.run, MADE_UP}, title
        for one in both:
            alone = seen.one("live.json", title, seen.chosen(interval_s, run=one["tags"]["run"]))
            assert columns(one) == alone, title


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_rates_add_up_to_the_counts_of_the_windows(seen: Seen, interval_s: int) -> None:
    told = Counter[str]()
    for line in seen.lines:
        for series in line_series(line).values():
            told.update({name: getattr(series, name) for name in ("scheduled", "sent", "completed", "good")})
            told.update({name: getattr(series, name) for name in ("late", "dropped", "lost")})
    shown = seen.one("live.json", "Offered and achieved rate", seen.chosen(interval_s))
    shown |= seen.one("live.json", "Late, dropped and lost", seen.chosen(interval_s))
    named = {"offered": "scheduled", "achieved": "completed", "goodput": "good"}
    assert len(shown) == 7
    for title, points in shown.items():
        count = told[named.get(title, title)]
        assert sum(points.values()) * interval_s == pytest.approx(count, rel=1e-3, abs=1e-6), title
    sent = Counter[str]()
    for line in seen.lines:
        for window in line["generators"]:
            sent[str(window["worker"])] += window["sent"]
    for one in seen.series("hardware.json", "Share of the load", seen.chosen(interval_s)):
        (points,) = columns(one).values()
        assert sum(points.values()) * interval_s == pytest.approx(sent.pop(one["tags"]["worker"]), rel=1e-3)
    assert not sent


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_percentiles_are_the_largest_of_the_seconds(seen: Seen, interval_s: int) -> None:
    titles = {
        LATENCY: "Latency: the interval's worst per-second percentiles",
        SERVICE_LATENCY: "Service latency: the interval's worst per-second percentiles",
    }
    for histogram, title in titles.items():
        told: dict[str, Points] = {"p50": {}, "p99": {}, "max": {}}
        for line in seen.lines:
            at = (seen.zero_ms + line["second"] * 1000) // (interval_s * 1000) * interval_s * NS_PER_S
            for series in line_series(line).values():
                if (hist := series.hists.get(histogram)) is None or not hist.total:
                    continue
                values = {"p50": percentile(hist, 50), "p99": percentile(hist, 99), "max": hist.max}
                for name, value in values.items():
                    told[name][at] = max(told[name].get(at, 0), value)
        shown = seen.one("live.json", title, seen.chosen(interval_s))
        for name, points in told.items():
            if name == "max":
                assert shown[name] == points, title
            else:  # warm-up and measurement may share a second, told apart here and there alike
                assert shown[name].keys() == points.keys(), title
                assert all(shown[name][at] == pytest.approx(points[at], rel=1e-3) for at in points), title


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_the_heatmap_counts_every_request_where_it_belongs(seen: Seen, interval_s: int) -> None:
    hists = [
        hist for line in seen.lines for one in line_series(line).values() if (hist := one.hists.get(LATENCY))
    ]
    whole = merge(hists)
    below = up_to_edges(whole).tolist()
    shown = seen.one("live.json", "Latency: how many requests took how long", seen.chosen(interval_s))
    counts = [sum(points.values()) for points in shown.values()]
    assert list(shown) == [*map(str, EDGES_NS), "+Inf"]
    assert list(itertools.accumulate(counts)) == [*below, whole.total]


def test_the_results_are_the_summarys(seen: Seen) -> None:
    for title in ("Steps: exact results of the whole", "Steps: exact results by flow and class of requests"):
        (series,) = seen.series("live.json", title, seen.chosen())
        rows = [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
        assert len(rows) == len(RATES)
        for row, told in zip(rows, seen.summary["steps"], strict=True):
            assert row["step_name"] == told["name"] and row["run"] == seen.run
            for name in ("scheduled", "ok", "failed", "dropped", "lost", "late", "valid"):
                assert row[name] == told[name], name
            for name in ("request_rate", "achieved_request_rate", "goodput_rate", "inference_rate"):
                assert row[name] == pytest.approx(told[name], rel=1e-3), name
            for name in ("p50", "p90", "p99", "p99.9"):
                field = f"latency_{name.replace('.', '_')}_ns"
                assert row[field] == pytest.approx(told["latency_ns"][name], rel=1e-3), name


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_the_servers_figures_are_the_samples(seen: Seen, interval_s: int) -> None:
    told: dict[int, Counter[str]] = {}
    for sample in seen.samples:
        if sample["source"] != "triton_statistics" or not sample["values"]["success_count"]:
            continue
        at_ns = seen.zero_ns + sample["at_ns"]
        values = sample["values"]
        sums = told.setdefault(at_ns // (interval_s * NS_PER_S) * interval_s * NS_PER_S, Counter())
        sums.update({name: values[name] for name in ("success_count", "inference_count", "execution_count")})
        sums["queue"] += values["queue_ns"] * values["success_count"]
    assert told
    chosen = seen.chosen(interval_s)
    requests = seen.one("server.json", "Requests", chosen)["success"]
    total = sum(sums["success_count"] for sums in told.values())
    assert sum(requests.values()) * interval_s == pytest.approx(total, rel=1e-3)
    queue = seen.one("server.json", "Time of a request in the server", chosen)["queue_ns"]
    assert list(queue.values()) == pytest.approx(
        [sums["queue"] / sums["success_count"] for sums in told.values()], rel=1e-3
    )
    (batch,) = seen.one("server.json", "Batch executed", chosen).values()
    assert list(batch.values()) == pytest.approx(
        [sums["inference_count"] / n for sums in told.values() if (n := sums["execution_count"])], rel=1e-3
    )


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_what_only_the_made_up_run_has(seen: Seen, interval_s: int) -> None:
    chosen = seen.chosen(interval_s, run=MADE_UP)
    (failed,) = seen.one("live.json", "Failed by gRPC status", chosen).values()
    stated = seen.influx.value(f"SELECT sum(failed) FROM failure WHERE run = '{MADE_UP}'")
    assert sum(failed.values()) * interval_s == pytest.approx(stated, rel=1e-3)
    (energy,) = seen.one("hardware.json", "CPU energy", chosen).values()
    assert max(energy.values()) <= 5 * (MADE_UP_SECONDS - 1)
    assert max(energy.values()) >= 5 * (MADE_UP_SECONDS - 1 - interval_s)
    gpus = seen.series("hardware.json", "GPU utilisation", chosen)
    loads = {(one["tags"]["host"], one["tags"]["gpu"]): set(columns(one)["GPU"].values()) for one in gpus}
    assert loads == {("box", "0"): {0.25}, ("box", "1"): {0.25}, ("board", "0"): {0.734}}
    rails = seen.series("hardware.json", "Rail power", chosen)
    assert {one["tags"]["rail"] for one in rails} == {"VDD_IN", "VDD_CPU_GPU_CV"}
