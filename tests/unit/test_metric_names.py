"""Console, files, the database's schema, dashboards and the web UI call a metric by its one name in
``triton_users.metrics``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.feed_example import lines_of
from tests.unit.test_report_example import example_run
from triton_users import metrics
from triton_users.metrics import BY_NAME, STATISTICS, figure_name
from triton_users.report import progress, summary
from triton_users.run.master import Run
from triton_users.sinks.points_schema import HISTOGRAMS
from triton_users.stats import window
from triton_users.web import live, tab
from triton_users.web.workers import Workers

ROOT = Path(__file__).parents[2] / "triton_users"
SHOWN_BY = sorted(path for room in ("report", "web") for path in (ROOT / room).glob("*.py"))
KNOWN = BY_NAME.keys() | {figure_name(histogram, name) for histogram in HISTOGRAMS for name in STATISTICS}
ROW = {"name", "flow", "model", "model_version", "class", "mode", "distribution", "started_at"}
PARTS = {"errors", "messages", "server", "audit", "generators", "gaps"}
WORKER = {"worker", "host", "address"}
LIKE_A_METRIC = re.compile(r"[a-z0-9_]+_(ns|us|rate|ratio|count|bytes|bytes_per_s|watts|joules|hz|celsius)")
NO_METRICS = {
    *("at_ns", "start_ns", "end_ns"),  # instants
    *("user_count", "spawn_rate"),  # fields of Locust's form
    "latency_threshold_ns",  # an option
    "worker_count",  # how many rows the page's table could have
}


def second() -> dict[str, Any]:
    """A merged second as the spool has it."""
    return next(line for line in lines_of(2) if line["kind"] == "window")


def test_every_number_of_a_row_of_the_summary_is_a_metric() -> None:
    for row in summary.build(example_run())["steps"]:
        assert set(row) - ROW - PARTS - BY_NAME.keys() == set()
        for generator in row["generators"]:
            assert set(generator) - WORKER - BY_NAME.keys() == set()
        if row["server"]:
            assert set(row["server"]) - {"composing"} - BY_NAME.keys() == set()


def test_every_number_of_a_second_is_a_metric() -> None:
    """The console's line of progress reads its counts from here."""
    line = second()
    for series in line["series"]:
        assert set(series) - {"flow", "class", "trial", "hists"} - BY_NAME.keys() == set()
        assert {f"{name}_ns" for name in series["hists"]} - BY_NAME.keys() == set()
    for generator in line["generators"]:
        window = {"worker", "seq", "start_ns", "end_ns", "in_flight_start"}
        assert set(generator) - window - BY_NAME.keys() == set()
    assert set(progress.TROUBLES) <= BY_NAME.keys()


def test_what_the_web_ui_shows_are_metrics() -> None:
    run = SimpleNamespace(
        settings=SimpleNamespace(latency_threshold_ns=1), record=SimpleNamespace(position=None)
    )
    followed = live.Live(cast(Run, run), total=dict.fromkeys(live.COUNTS, 0))
    followed.add(second())
    assert followed.last is not None
    told = followed.last.as_json(0).keys() - {"number", "step", "second", "end_s"}
    assert told - KNOWN == set()
    assert {name for _, name in (*tab.RATES, *tab.LATENCIES, *tab.COUNTS)} - told == set()
    page = (ROOT / "web/page.html").read_text()
    named = re.findall(r"\b(?:last|total)\.([a-z0-9_]+)|\[\"([a-z0-9_]+_(?:rate|ns))\"", page)
    assert len(named) > 10
    assert {either or other for either, other in named} - told == set()
    workers = Workers()
    workers.add(second())
    named = re.findall(r"\bone\.([a-z0-9_]+)", page[page.index("function workers(") :].partition("\n}\n")[0])
    assert set(named) == workers.figures()[0].keys() != set()


def test_nothing_that_shows_results_has_a_name_of_its_own() -> None:
    keys = re.compile(r'\b(?:row|server|generator|worker)\["([a-z_]+)"\]')
    ours = BY_NAME.keys() | ROW | PARTS | WORKER | {"composing", "batch_size", "input_shapes"}
    for path in SHOWN_BY:
        text = path.read_text()
        assert set(keys.findall(text)) - ours == set(), path
        stray = {one for one in strings(text) if LIKE_A_METRIC.fullmatch(one)} - KNOWN - NO_METRICS
        assert stray == set(), path


def strings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_number_of_a_window_is_a_metric() -> None:
    of_series = {field.name for field in fields(window.Series)} - {"hists"}
    of_generator = {field.name for field in fields(window.Generator)}
    hists = {window.LATENCY, window.SERVICE_LATENCY, window.SEND_LAG, window.FAILED_LATENCY}
    of_window = {"in_flight_start", "in_flight_end", "users"}
    declared = metrics.BY_NAME
    assert of_series | of_generator | of_window | {f"{name}_ns" for name in hists} <= declared.keys()
    assert {name for name, metric in declared.items() if metric.kind == "histogram"} == {
        f"{name}_ns" for name in hists
    }


def test_metrics_are_declared_once_with_units_in_their_names() -> None:
    assert len(metrics.BY_NAME) == len(metrics.METRICS)
    for metric in metrics.METRICS:
        assert (metric.unit == "ns") == metric.name.endswith("_ns"), metric.name
        assert (metric.unit == "1/s") == metric.name.endswith("_rate"), metric.name
        assert metric.help and not metric.help.endswith(".")
        assert metric.kind != "counter" or metric.merge == "add"
