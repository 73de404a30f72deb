"""Every query of the committed dashboards against a real InfluxDB, after a real run and two made-up ones."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.feed_example import RUN as MADE_UP
from tests.grafana_rules import ALL, NAMES, TOTALS, Json, panels, queries, read, variables
from tests.influx import Influx, started
from tests.influx2 import Influx2
from tests.real.grafana_runs import (
    KILLED,
    MADE_UP_SECONDS,
    RATES,
    Points,
    Seen,
    columns,
    has_data,
    killed_run,
    made_up_run,
    real_run,
)
from triton_users.metrics import EDGES_NS
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.points_window import up_to_edges
from triton_users.stats.histogram import merge, percentile
from triton_users.stats.lines import line_series
from triton_users.stats.window import LATENCY, SERVICE_LATENCY
from triton_users.units import NS_PER_MS, NS_PER_S

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
INTERVALS_S = (1, 10)


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
        killed_run(root, influx, run.zero_ns)
        yield run
    finally:
        influx.kill()


of_run_and_step = pytest.mark.parametrize(
    ("step", "shown_step"), [(None, ALL), (0, ["00"])], ids=["run", "step"]
)


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

    assert set(values("live.json", "run")) == {seen.run, MADE_UP, KILLED}
    assert values("live.json", "step") == ["00", "01"]
    assert values("live.json", "model") == values("server.json", "model") == ["identity_16"]
    assert values("hardware.json", "worker") == ["0", "1"]
    assert seen.samples[0]["host"] in values("hardware.json", "host")


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


def test_every_run_can_be_returned_to_a_killed_one_too(seen: Seen) -> None:
    def told(title: str) -> dict[str, Json]:
        (series,) = seen.series("live.json", title, seen.chosen())
        rows = [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
        return {row["run"]: row for row in rows}

    assert told("Runs").keys() == {seen.run, MADE_UP, KILLED}
    assert told("Runs")[KILLED]["text"] == "locust -f killed.py"
    assert told("Runs")[KILLED]["time"] // NS_PER_MS == seen.zero_ms
    assert told("Finished runs").keys() == {seen.run, MADE_UP}


# And tells the truth


@pytest.mark.parametrize("steps", [("00",), ("01",), ("00", "01"), ALL], ids=str)
def test_totals_are_the_summarys_to_the_unit(seen: Seen, steps: tuple[str, ...] | str) -> None:
    numbers = range(len(RATES)) if steps == ALL else map(int, steps)
    rows = [seen.summary["steps"][number] for number in numbers]
    chosen = seen.chosen(step=steps if isinstance(steps, str) else list(steps))
    for title, name in TOTALS.items():
        (points,) = seen.one("live.json", title, chosen).values()
        assert list(points.values()) == [sum(row[name] for row in rows)], title


def test_totals_are_of_the_whole_run_whatever_time_is_shown(seen: Seen) -> None:
    """As in a run that has gone on for longer than the dashboard shows."""
    end = replace(seen.chosen(), from_ms=seen.end_ms + 60_000, to_ms=seen.end_ms + 61_000)
    for title, name in TOTALS.items():
        (points,) = seen.one("live.json", title, end).values()
        assert list(points.values()) == [sum(row[name] for row in seen.summary["steps"])], title


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_two_runs_at_once_are_told_apart(seen: Seen, interval_s: int) -> None:
    """They even overlap in time: each has the figures that it has alone."""
    for title in ("Answered", "Offered and achieved rate", "In flight"):
        both = seen.series("live.json", title, seen.chosen(interval_s, run=[MADE_UP, seen.run]))
        assert {one["tags"]["run"] for one in both} == {seen.run, MADE_UP}, title
        for one in both:
            alone = seen.one("live.json", title, seen.chosen(interval_s, run=one["tags"]["run"]))
            assert columns(one) == alone, title


@of_run_and_step
@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_rates_add_up_to_the_counts_of_the_windows(
    seen: Seen, interval_s: int, step: int | None, shown_step: str | list[str]
) -> None:
    told, chosen = Counter[str](), seen.chosen(interval_s, step=shown_step)
    for line in seen.lines_of(step):
        for series in line_series(line).values():
            told.update({name: getattr(series, name) for name in ("scheduled", "sent", "completed", "good")})
            told.update({name: getattr(series, name) for name in ("late", "dropped", "lost")})
    shown = seen.one("live.json", "Offered and achieved rate", chosen)
    shown |= seen.one("live.json", "Late, dropped and lost", chosen)
    named = {"offered": "scheduled", "achieved": "completed", "goodput": "good"}
    assert len(shown) == 7
    for title, points in shown.items():
        count = told[named.get(title, title)]
        assert sum(points.values()) * interval_s == pytest.approx(count, rel=1e-3, abs=1e-6), title
    sent = Counter[str]()
    for line in seen.lines_of(step):
        for window in line["generators"]:
            sent[str(window["worker"])] += window["sent"]
    for one in seen.series("hardware.json", "Share of the load", chosen):
        (points,) = columns(one).values()
        assert sum(points.values()) * interval_s == pytest.approx(sent.pop(one["tags"]["worker"]), rel=1e-3)
    assert not sent


@of_run_and_step
@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_percentiles_are_the_largest_of_the_seconds(
    seen: Seen, interval_s: int, step: int | None, shown_step: str | list[str]
) -> None:
    titles = {
        LATENCY: "Latency: the interval's worst per-second percentiles",
        SERVICE_LATENCY: "Service latency: the interval's worst per-second percentiles",
    }
    for histogram, title in titles.items():
        told: dict[str, Points] = {"p50": {}, "p99": {}, "max": {}}
        for line in seen.lines_of(step):
            at = (seen.zero_ms + line["second"] * 1000) // (interval_s * 1000) * interval_s * NS_PER_S
            for series in line_series(line).values():
                if (hist := series.hists.get(histogram)) is None or not hist.total:
                    continue
                values = {"p50": percentile(hist, 50), "p99": percentile(hist, 99), "max": hist.max}
                for name, value in values.items():
                    told[name][at] = max(told[name].get(at, 0), value)
        shown = seen.one("live.json", title, seen.chosen(interval_s, step=shown_step))
        for name, points in told.items():
            if name == "max":
                assert shown[name] == points, title
            else:  # warm-up and measurement may share a second, told apart here and there alike
                assert shown[name].keys() == points.keys(), title
                assert all(shown[name][at] == pytest.approx(points[at], rel=1e-3) for at in points), title


@of_run_and_step
@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_the_heatmap_counts_every_request_where_it_belongs(
    seen: Seen, interval_s: int, step: int | None, shown_step: str | list[str]
) -> None:
    series = [one for line in seen.lines_of(step) for one in line_series(line).values()]
    hists = [hist for one in series if (hist := one.hists.get(LATENCY))]
    whole = merge(hists)
    below = up_to_edges(whole).tolist()
    chosen = seen.chosen(interval_s, step=shown_step)
    shown = seen.one("live.json", "Latency: how many requests took how long", chosen)
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


@pytest.mark.parametrize("step", [None, 0], ids=["run", "step"])
@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_the_servers_figures_are_the_samples(seen: Seen, interval_s: int, step: int | None) -> None:
    """They belong to no step: its time is chosen."""
    chosen, lines = seen.chosen(interval_s), seen.lines_of(step)
    if step is not None:
        begin, end = min(line["start_ns"] for line in lines), max(line["end_ns"] for line in lines)
        chosen = replace(
            chosen, from_ms=seen.zero_ms + begin // NS_PER_MS, to_ms=seen.zero_ms + end // NS_PER_MS
        )
    told: dict[int, Counter[str]] = {}
    for sample in seen.samples:
        if sample["source"] != "triton_statistics" or not sample["values"]["success_count"]:
            continue
        at_ns = seen.zero_ns + sample["at_ns"]
        if not chosen.from_ms * NS_PER_MS <= at_ns <= chosen.to_ms * NS_PER_MS:
            continue
        values = sample["values"]
        sums = told.setdefault(at_ns // (interval_s * NS_PER_S) * interval_s * NS_PER_S, Counter())
        sums.update({name: values[name] for name in ("success_count", "inference_count", "execution_count")})
        sums["queue"] += values["queue_ns"] * values["success_count"]
    assert told
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
    *gpus, by_triton = seen.series("hardware.json", "GPU utilisation", chosen)
    loads = {(one["tags"]["host"], one["tags"]["gpu"]): set(columns(one)["GPU"].values()) for one in gpus}
    assert by_triton["tags"] == {"run": MADE_UP, "uuid": "GPU-1"}
    assert set(columns(by_triton)["GPU (Triton)"].values()) == {0.5}
    assert loads == {("box", "0"): {0.25}, ("box", "1"): {0.25}, ("board", "0"): {0.734}}
    rails = seen.series("hardware.json", "Rail power", chosen)
    assert {one["tags"]["rail"] for one in rails} == {"VDD_IN", "VDD_CPU_GPU_CV"}


@pytest.mark.parametrize("interval_s", INTERVALS_S)
def test_a_hosts_processors_are_never_more_than_all_of_them(seen: Seen, interval_s: int) -> None:
    """In the row of one host, whichever runs are shown: two at once saw the same processors."""
    for host in ("box", "board", seen.samples[0]["host"]):
        chosen = seen.chosen(interval_s, run=[MADE_UP, seen.run, KILLED], host=host)
        stack = seen.one("hardware.json", "CPU by category", chosen)
        seconds = set().union(*stack.values())
        assert seconds
        for at in seconds:
            assert 0 < sum(points.get(at, 0) for points in stack.values()) <= 1.001, host
