"""What all dashboards share: the data source, the variables, what happened, the links to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from grafana.source.influxql import From
from grafana.source.panels import Panel
from grafana.source.query import SOURCE, TYPE, EventsQuery, InfluxAnnotation

TAG = "triton-users"
REFRESH = "1s"
INTERVALS = (REFRESH, "2s", "5s", "10s", "30s", "1m", "5m")
ALL = VariableOption(selected=True, text=["All"], value=["$__all"])
RUNS = 200
"""Runs to choose from, the newest first."""

_EVENTS = From("events")
HAPPENED = {
    "Runs": (("run_start", "run_end"), "rgba(130, 130, 130, 0.6)"),
    "Steps": (("step_start", "step_end"), "rgba(87, 148, 242, 0.8)"),
    "Workers and server": (("worker_joined", "worker_lost", "server_restart"), "orange"),
    "Reasons": (("reason",), "red"),
}
"""Kinds of events by the annotation that shows them, and its colour."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, from left to right, 24 columns to a line. ``repeat`` names the variable for
    each of whose values the row is shown."""

    title: str
    panels: Sequence[Panel]
    repeat: str | None = None


def run_variable() -> make.QueryVariable:
    """The newest run is the one that is shown at first."""
    query = _EVENTS.where("event", "run_start").ever(["run"], ["title"], RUNS)
    text = "The newest first; several can be compared where their times overlap or follow."
    return _variable("run", "Run", query, text, VariableSort.DISABLED)


def step_variable() -> make.QueryVariable:
    """By number: a name may hold what regular expressions read otherwise."""
    text = "By number. Samples of the server and of the hosts belong to no step: choose their time."
    return _or_all(
        _variable("step", "Step", From("load").values("step"), text, VariableSort.ALPHABETICAL_ASC)
    )


def model_variable(source: From) -> make.QueryVariable:
    """The models that ``source`` knows."""
    text = "Models that requests were sent to, and on the server's page those that they are composed of."
    return _or_all(_variable("model", "Model", source.values("model"), text, VariableSort.ALPHABETICAL_ASC))


def worker_variable() -> make.QueryVariable:
    text = "Load generators by their number."
    query = From("worker").values("worker")
    return _or_all(_variable("worker", "Worker", query, text, VariableSort.NUMERICAL_ASC))


def host_variable() -> make.QueryVariable:
    text = "Hosts with an agent."
    query = From("sample").values("host")
    return _or_all(_variable("host", "Host", query, text, VariableSort.ALPHABETICAL_ASC))


def _variable(name: str, label: str, query: str, text: str, sort: VariableSort) -> make.QueryVariable:
    return (
        make.QueryVariable(name)
        .label(label)
        .description(text)
        .datasource(SOURCE)
        .query(query)
        .multi(True)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(sort)
    )


def _or_all(variable: make.QueryVariable) -> make.QueryVariable:
    # ".*" also matches where the tag is missing, and needs no long list of values.
    return variable.include_all(True).all_value(".*").current(ALL)


def board(
    uid: str, title: str, text: str, variables: Sequence[make.QueryVariable], rows: Sequence[Row]
) -> Dashboard:
    """A whole dashboard."""
    made = (
        make.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags([TAG])
        .editable()
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-15m", "now")
        .refresh(REFRESH)
        .timepicker(make.TimePicker().refresh_intervals(list(INTERVALS)))
        .with_variable(make.DatasourceVariable("datasource").label("Database").type(TYPE))
        .link(
            make.DashboardLink("Triton load test")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in variables:
        made = made.with_variable(variable)
    _place(made, rows)
    whole = made.build()
    whole.annotations.list_val = [_annotation(name) for name in HAPPENED]
    return whole


def _place(made: make.Dashboard, rows: Sequence[Row]) -> None:
    number = 0
    for row in rows:
        number += 1
        heading = make.Row(row.title).id(number)
        made.with_row(heading.repeat(row.repeat) if row.repeat is not None else heading)
        for panel in row.panels:
            number += 1
            made.with_panel(panel.id(number))


def _annotation(name: str) -> InfluxAnnotation:
    events, color = HAPPENED[name]
    listed = " OR ".join(f"{_EVENTS.tag('event')} = '{event}'" for event in events)
    chosen = From("events", (f"({listed})",))
    query = chosen.rows(["event", "severity"], ["title", "text", "until_ms"])
    return InfluxAnnotation(name, EventsQuery(query, "title", "text", "event", "until_ms"), color)
