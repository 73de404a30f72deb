"""The dashboards as they are committed: made from the code, of names that exist, easy to read."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source.files import files
from grafana.source.influxql import LABELS, From
from grafana.source.query import InfluxAnnotation, InfluxQuery, register
from grafana.source.units import unit_of
from tests.grafana_rules import ALL, NAMES, Chosen, Json, panels, queries, read, variables
from tests.unit.test_architecture import MAX_FUNCTION, ROOT
from triton_users.sinks.points_schema import BY_NAME_OF_MEASUREMENT, SENSORS

COLUMNS = 24
EVERY_QUERY = [(name, *query) for name in NAMES for query in queries(read(name))]

each = pytest.mark.parametrize("name", NAMES)


def written(thing: Any) -> Any:
    return json.loads(json.dumps(thing, cls=JSONEncoder))


def test_what_is_committed_is_what_the_code_makes() -> None:
    made = files()
    assert sorted(made) == NAMES
    for name, text in made.items():
        assert json.loads(text) == read(name), f"{name}: make dashboards"


@each
def test_a_dashboard_survives_the_sdks_types(name: str) -> None:
    register_default_plugins()
    register()
    dashboard = read(name)
    again = written(Dashboard.from_json(read(name)))
    # The SDK's annotation knows the target of Grafana's own database alone: ours has a type of its own.
    events = dashboard["annotations"].pop("list")
    again["annotations"].pop("list", None)
    assert again == dashboard
    assert written([InfluxAnnotation.from_json(one) for one in events]) == events
    for panel in panels(dashboard):
        assert written([InfluxQuery.from_json(one) for one in panel["targets"]]) == panel["targets"]


# Names


def test_a_stray_name_is_refused() -> None:
    strays: list[Callable[[], str]] = [
        lambda: From("window").total("throughput"),
        lambda: From("window").every('sum("ok")', by=["worker"]),
        lambda: From("load").every('max("users")', selected=["model"]),
        lambda: From("windows").field("ok"),
        lambda: unit_of("latency_p98_ns"),
    ]
    for stray in strays:
        with pytest.raises(KeyError):
            stray()


@pytest.mark.parametrize(("name", "title", "query"), EVERY_QUERY, ids=lambda text: text[:30])
def test_a_query_knows_only_names_of_the_schema(name: str, title: str, query: str) -> None:
    measurements = re.findall(r'FROM "(\w+)"', query)
    assert len(measurements) == 1
    known = BY_NAME_OF_MEASUREMENT[measurements[0]]
    names = {*known.tags, *known.fields, *(own for own, _ in known.own), known.name}
    names |= set(LABELS) if known.name == "sample" else set()
    shown = set(re.findall(r'AS "([^"]+)"', query))
    assert set(re.findall(r'"([^"]+)"', query)) - names - shown == set(), title


@pytest.mark.parametrize(("name", "title", "query"), EVERY_QUERY, ids=lambda text: text[:30])
def test_a_query_has_only_variables_of_its_dashboard(name: str, title: str, query: str) -> None:
    filled = Chosen(1, 2, 10, {"run": ["a", "b"]}).filled(read(name), query)
    assert "$" not in filled.replace("$/", ""), title


@each
def test_every_variable_filters_something(name: str) -> None:
    dashboard = read(name)
    text = " ".join(query for title, query in queries(dashboard) if not title.startswith("$"))
    unused = [variable for variable in variables(dashboard) if f"${variable}$" not in text]
    assert unused == []
    assert {"run", "step"} <= variables(dashboard).keys()


IN_NO_PANEL = re.compile(
    "cpu_idle_ratio|memory_(available|cached|buffers)_bytes|network_(sent|received)_packet_rate"
    "|disk_(read|write)_operation_rate|gpu_throttle_.*|rail_(voltage_volts|current_amperes)"
    "|clock_uncertainty_ns"
    "|nv_(inference|cache)_(?!pending).*"  # what triton_statistics says by the second
    "|nv_gpu_(memory_total_bytes|power_limit)|nv_(cpu|pinned)_.*"
)
"""What sensors measure for those who ask the database themselves."""


def test_what_sensors_measure_is_on_a_panel() -> None:
    shown: set[str] = set()
    for name in NAMES:
        for panel in panels(read(name)):
            for target in panel["targets"]:
                if 'FROM "sample"' in target["query"]:
                    shown |= set(re.findall(r'"(\w+)"', target["query"]))
    left_out = {name for name in SENSORS if IN_NO_PANEL.fullmatch(name)}
    assert set(SENSORS) - left_out - shown == set()
    assert left_out & shown == set()


def test_the_variables_that_an_engineer_chooses_by_are_all_there() -> None:
    assert set().union(*(variables(read(name)) for name in NAMES)) == {
        *("run", "step", "model", "worker", "host")
    }


def test_values_are_filled_in_as_grafana_does() -> None:
    dashboard = read("live.json")
    chosen = Chosen(5, 9, 10, {"run": ["a/b", "c.d"], "step": "0+", "model": ALL})
    text = "$run|$step|${model}|$timeFilter|$__interval|$__interval_ms"
    assert chosen.filled(dashboard, text) == (r"(a\/b|c\.d)|0\+|.*|time >= 5ms and time <= 9ms|10s|10000")


# What a reader sees


@each
def test_panels_fill_the_grid_and_do_not_overlap(name: str) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in read(name)["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= COLUMNS
        for place in itertools.product(
            range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])
        ):
            assert place not in taken, (panel["title"], taken[place])
            taken[place] = panel["title"]
    height = max(y for _, y in taken) + 1
    assert len(taken) == height * COLUMNS, "a gap"


@each
def test_a_panel_says_what_it_shows_without_a_click(name: str) -> None:
    dashboard = read(name)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(dashboard)]
    assert len(set(titles)) == len(titles)
    assert not any(panel["collapsed"] for panel in dashboard["panels"] if panel["type"] == "row")
    for panel in panels(dashboard):
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "influxdb", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            assert panel["interval"] == "1s"
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"]
        for target in panel["targets"]:
            assert target["rawQuery"]
            _legend_can_be_made(target)


def _legend_can_be_made(target: Json) -> None:
    """Each tag of the alias is one that the query groups by, and no group is left without its name."""
    grouped = (
        set(re.findall(r'"(\w+)"', target["query"].rpartition("GROUP BY")[2])) if target["alias"] else set()
    )
    named = set(re.findall(r"\$tag_(\w+)", target["alias"]))
    assert named == grouped, target


@each
def test_percentiles_of_seconds_are_titled_so_and_taken_by_max(name: str) -> None:
    for panel in panels(read(name)):
        text = " ".join(target["query"] for target in panel["targets"])
        if panel["type"] != "table" and re.search(r"_p\d+", text):
            assert "per-second" in panel["title"], panel["title"]
            assert not re.search(r'(?<!max)\("\w+_p\d+\w*"\)', text)


@each
def test_a_stack_that_ends_at_the_whole_holds_one_thing(name: str) -> None:
    """Two hosts in one stack of shares would be more than all of a host, and cut off."""
    repeated = None
    for panel in read(name)["panels"]:
        if panel["type"] == "row":
            repeated = panel.get("repeat")
        elif panel["fieldConfig"]["defaults"].get("max") == 1 and _stacked(panel):
            assert repeated is not None, panel["title"]
            for target in panel["targets"]:
                groups = re.findall(r'"(\w+)"', target["query"].rpartition("GROUP BY")[2])
                assert groups == [repeated], panel["title"]
                assert f'"{repeated}" =~ /^${repeated}$/' in target["query"], panel["title"]


def _stacked(panel: Json) -> bool:
    mode: str = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"]
    return mode == "normal"


def test_inferences_are_no_requests() -> None:
    assert [unit_of(f"{name}_rate") for name in ("inference", "request", "goodput")] == [
        "cps",
        "reqps",
        "reqps",
    ]


def test_a_killed_run_can_be_returned_to() -> None:
    """It has no end: what leads to it needs its start alone."""
    (panel,) = (panel for panel in panels(read("live.json")) if panel["title"] == "Runs")
    (target,) = panel["targets"]
    assert "'run_start'" in target["query"] and "until_ms" not in target["query"]
    overrides = {one["matcher"]["options"]: one["properties"] for one in panel["fieldConfig"]["overrides"]}
    (link,) = next(one["value"] for one in overrides["run"] if one["id"] == "links")
    assert "var-run=${__data.fields.run}&time=${__data.fields[0].numeric}&time.window=7200000&" in link["url"]


@each
def test_units_are_those_of_the_metrics(name: str) -> None:
    for panel in panels(read(name)):
        if panel["type"] not in ("timeseries", "stat"):
            continue
        unit = panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            query = target["query"]
            if "$__interval_ms" in query:
                counted = " ".join(re.findall(r'sum\("(\w+)"\)', query))
                inferences = "inference" in counted or "execution" in counted
                assert unit == ("cps" if inferences else "reqps"), panel["title"]
            elif " / " not in query:
                names = re.findall(r'\("(\w+)"\)', query)
                assert {unit_of(field) for field in names} == {unit}, panel["title"]


@each
def test_each_second_is_shown_and_dashboards_lead_to_each_other(name: str) -> None:
    dashboard = read(name)
    assert dashboard["refresh"] == "1s" and "1s" in dashboard["timepicker"]["refresh_intervals"]
    (link,) = dashboard["links"]
    assert link["includeVars"] and link["keepTime"] and set(link["tags"]) <= set(dashboard["tags"])
    assert [one["enable"] for one in dashboard["annotations"]["list"]] == [True] * 4


def test_functions_are_short_and_modules_say_what_they_are() -> None:
    for path in sorted(Path(ROOT, "grafana").rglob("*.py")):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, node.name
