"""*Live run*: what was asked for, what came back, how late, and what was decided."""

from __future__ import annotations

from itertools import pairwise

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import board
from grafana.source.board import Row
from grafana.source.influxql import From
from grafana.source.panels import Line, Panel, buckets, lines, number, rows
from grafana.source.units import unit_of
from triton_users.metrics import PERCENTILES, figure_name
from triton_users.sinks.points_schema import BUCKETED, BUCKETS, LOST_OF, PHASES

UID = "triton-users-live"

_WINDOW, _FAILURE, _LOAD, _STEP, _EVENTS = map(From, ("window", "failure", "load", "step", "events"))
_SECONDS = _WINDOW.among("phase", *PHASES)
_MEASURED = _WINDOW.among("phase", "measured", LOST_OF["measured"])
_CLASSES, _WHOLE = _STEP.where("part", "class"), _STEP.where("part", "whole")
_CHOSEN = ("run", "step", "model")
_OF_RUN = " · $tag_run"

_FIGURES = ("p50", "p90", "p99", "p99.9", "max")
_RESULT_TAGS = ("run", "step_name", "flow", "model", "batch", "shape")
_RESULT = (
    *("request_rate", "achieved_request_rate", "goodput_rate", "inference_rate"),
    *(figure_name("latency_ns", name) for name in ("p50", "p90", "p99", "p99.9")),
    *(figure_name("service_latency_ns", name) for name in ("p50", "p99")),
    *("scheduled", "ok", "failed", "dropped", "lost", "late", "valid"),
)
_HEADINGS = {
    "step_name": "Step",
    "request_rate": "Offered",
    "achieved_request_rate": "Achieved",
    "goodput_rate": "Goodput",
    "inference_rate": "Inferences",
    "scheduled": "Scheduled",
    "ok": "Answered",
}
_YES_NO = "bool_yes_no"
_AROUND_MS = 2 * 3_600_000
"""Where it is not known when a run ended: so much around its start."""


def live() -> Dashboard:
    """The dashboard."""
    return board.board(
        UID,
        "Triton load test: live run",
        "A run as its load generators see it, second by second, and the exact results of its steps.",
        [board.run_variable(), board.step_variable(), board.model_variable(_WINDOW)],
        [
            Row("Measured so far", _totals()),
            Row(
                "Load and latency",
                [
                    _rates(),
                    _latency("latency_ns", "Latency", "the intended arrival"),
                    _heatmap(),
                    _latency("service_latency_ns", "Service latency", "sending"),
                ],
            ),
            Row("Faults and pressure", [_not_served(), _failed(), _in_flight(), _users()]),
            Row("Results", [_steps(), _classes(), _events(), _runs(), _finished()]),
        ],
    )


def _totals() -> list[Panel]:
    def of_windows(title: str, name: str, text: str, *, fault: bool = False) -> Panel:
        query = _MEASURED.once(_MEASURED.total(name), by=["run"], selected=_CHOSEN)
        return number(title, unit_of(name), Line(query, "$tag_run"), text, fault=fault)

    now_text = "Of the last interval that there is."
    return [
        of_windows(
            "Scheduled",
            "scheduled",
            "Arrivals of the measured trials, whatever time is shown, as all counts of this row; those of a "
            "silent generator are counted when the step ends.",
        ),
        of_windows("Answered", "ok", "Of these, answered with success."),
        of_windows("Failed", "failed", "Answered by an error, or not at all.", fault=True),
        of_windows("Dropped", "dropped", "Never sent: the in-flight cap was full.", fault=True),
        of_windows("Lost", "lost", "Of generators that fell silent: known when the step ends.", fault=True),
        of_windows("Late", "late", "Sent more than 1 ms late by the generator's own fault.", fault=True),
        number("In flight now", unit_of("in_flight"), Line(_now("in_flight"), "$tag_run"), now_text),
        number("Users now", unit_of("users"), Line(_now("users"), "$tag_run"), now_text),
    ]


def _now(name: str) -> str:
    return _LOAD.every(_LOAD.largest(name), by=["run"], selected=("run", "step"))


def _rates() -> Panel:
    named = {"offered": "offered", "sent": "sent", "completed": "achieved", "good": "goodput"}
    columns = [_SECONDS.rate(name, shown) for name, shown in named.items()]
    query = _SECONDS.every(*columns, by=["run"], selected=_CHOSEN)
    return lines(
        "Offered and achieved rate",
        unit_of("achieved_request_rate"),
        [Line(query, "$col" + _OF_RUN)],
        "Requests per second, warm-up included: asked for by the schedule (under a rate), handed to a "
        "connection, answered with success, and answered within the latency budget (goodput, where a budget "
        "is given). "
        "No second has what a silent generator owed: Scheduled and Lost tell it when the step ends.",
    )


def _latency(histogram: str, title: str, since: str) -> Panel:
    names = [(figure_name(histogram, name), name) for name in _FIGURES]
    columns = [_WINDOW.largest(field, shown) for field, shown in names]
    query = _WINDOW.every(*columns, by=["run"], selected=_CHOSEN)
    return lines(
        f"{title}: the interval's worst per-second percentiles",
        unit_of(names[0][0]),
        [Line(query, "$col" + _OF_RUN)],
        f"From {since} to the answer, successful requests. Percentiles of each second and class of requests, "
        "the largest of the interval: percentiles of a longer time are in the results below.",
    )


def _heatmap() -> Panel:
    first = BUCKETS[0]
    columns = [_WINDOW.total(first[1], str(first[0]))]
    for (_, below), (edge, name) in pairwise(BUCKETS):
        columns.append(f'{_WINDOW.total(name)} - {_WINDOW.total(below)} AS "{edge}"')
    everything = figure_name(BUCKETED, "count")
    columns.append(f'{_WINDOW.total(everything)} - {_WINDOW.total(BUCKETS[-1][1])} AS "+Inf"')
    query = _WINDOW.every(*columns, selected=_CHOSEN)
    return buckets(
        "Latency: how many requests took how long",
        unit_of(BUCKETED),
        Line(query, "$col"),
        "Successful requests of each interval by their latency, exact to 0.1 % at the edges.",
    )


def _not_served() -> Panel:
    columns = [_WINDOW.rate(name, name) for name in ("late", "dropped", "lost")]
    query = _WINDOW.every(*columns, by=["run"], selected=_CHOSEN)
    return lines(
        "Late, dropped and lost",
        unit_of("request_rate"),
        [Line(query, "$col" + _OF_RUN)],
        "Late: sent more than 1 ms late by the generator's fault. Dropped: never sent, the in-flight cap was "
        "full. Lost: of generators that fell silent, all at the instant when the step ends.",
        width=6,
    )


def _failed() -> Panel:
    query = _FAILURE.every(_FAILURE.rate("failed"), by=["run", "status"], selected=_CHOSEN)
    return lines(
        "Failed by gRPC status",
        unit_of("request_rate"),
        [Line(query, "$tag_status" + _OF_RUN)],
        "Requests answered by an error, without connection, or unanswered. Empty while nothing fails.",
        width=6,
        stacked="sum",
    )


def _in_flight() -> Panel:
    return lines(
        "In flight",
        unit_of("in_flight"),
        [Line(_now("in_flight"), "$tag_run")],
        "Requests sent and not answered at the end of a second, all workers; the interval's largest.",
        width=6,
    )


def _users() -> Panel:
    return lines("Users", unit_of("users"), [Line(_now("users"), "$tag_run")], "Users in place.", width=6)


def _result_columns() -> dict[str, dict[str, object]]:
    columns: dict[str, dict[str, object]] = {
        name: {"unit": _YES_NO if name == "valid" else unit_of(name)} for name in _RESULT
    }
    for name, heading in _HEADINGS.items():
        columns.setdefault(name, {})["displayName"] = heading
    for histogram, title in (("latency_ns", "Latency"), ("service_latency_ns", "Service")):
        for name in PERCENTILES:
            if (field := figure_name(histogram, name)) in columns:
                columns[field]["displayName"] = f"{title} {name}"
    return columns | {"step_name": {"custom.width": 220, "displayName": "Step"}}


def _steps() -> Panel:
    return rows(
        "Steps: exact results of the whole",
        _WHOLE.rows(_RESULT_TAGS[:2], _RESULT, ("run", "step")),
        "One line for each step that has ended: all flows and classes of requests together.",
        fields=_result_columns(),
    )


def _classes() -> Panel:
    return rows(
        "Steps: exact results by flow and class of requests",
        _CLASSES.rows(_RESULT_TAGS, _RESULT, _CHOSEN),
        "A line for each flow, model, batch size and shape of a step that has ended.",
        fields=_result_columns(),
    )


def _events() -> Panel:
    return rows(
        "Events",
        _EVENTS.rows(["run", "event", "severity"], ["title", "text"], end=" ORDER BY time DESC LIMIT 500"),
        "What happened, the newest first.",
        fields={
            "text": {"custom.cellOptions": {"type": "auto", "wrapText": True}},
        },
    )


def _runs() -> Panel:
    return rows(
        "Runs",
        _EVENTS.where("event", "run_start").ever(["run"], ["text"], board.RUNS),
        "By the time that they began, those too that were killed; its id leads to the hour before and after.",
        width=12,
        fields={
            "run": _link(f"time=${{__data.fields[0].numeric}}&time.window={_AROUND_MS}"),
            "text": {"displayName": "Command"},
        },
    )


def _finished() -> Panel:
    return rows(
        "Finished runs",
        _EVENTS.where("event", "run_end").ever(["run"], ["text", "until_ms"], board.RUNS),
        "By the time that they began; its id leads to all of a run.",
        width=12,
        fields={
            "run": _link("from=${__data.fields[0].numeric}&to=${__data.fields.until_ms.numeric}"),
            "until_ms": {"unit": units.DatetimeISO, "displayName": "Ended"},
            "text": {"displayName": "Verdict"},
        },
    )


def _link(time: str) -> dict[str, object]:
    """To the run that the cell names, in the range that ``time`` says in Grafana's address."""
    url = f"/d/{UID}?var-run=${{__data.fields.run}}&{time}&refresh="
    return {"links": [{"title": "Show this run", "url": url}]}
