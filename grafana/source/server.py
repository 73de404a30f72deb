"""*Server*: what Triton says of itself, by model."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import board
from grafana.source.board import Row
from grafana.source.influxql import From
from grafana.source.panels import Line, Panel, lines, rows
from grafana.source.units import unit_of

UID = "triton-users-server"

_STATISTICS = From("sample").where("source", "triton_statistics")
_METRICS = From("sample").where("source", "triton_metrics")
_STEP, _COMPOSING = From("step").where("part", "class"), From("step_composing")
_CHOSEN = ("run", "model")

SPLIT = ("queue_ns", "compute_input_ns", "compute_infer_ns", "compute_output_ns")
_OF_STEP = (
    *SPLIT,
    "network_client_ns",
    "mean_executed_batch",
    "success_count",
    "execution_count",
    "cache_hits",
)
_OF_PART = (*SPLIT, "mean_executed_batch", "success_count", "execution_count", "cache_hits")


def server() -> Dashboard:
    """The dashboard."""
    return board.board(
        UID,
        "Triton load test: server",
        "Where requests spend their time inside Triton, from its own statistics and metrics.",
        [board.run_variable(), board.step_variable(), board.model_variable(_STATISTICS)],
        [
            Row(
                "Model $model",
                [_split(), _batch(), _requests(), _executions(), _pending(), _cache()],
                repeat="model",
            ),
            Row("Results of the steps", [_steps(), _composing()]),
        ],
    )


def _of_model(query: str, shown: str) -> list[Line]:
    return [Line(query, f"{shown} · $tag_model · $tag_run")]


def _split() -> Panel:
    query = _STATISTICS.weighted(SPLIT, "success_count", by=["run", "model"], selected=_CHOSEN)
    return lines(
        "Time of a request in the server",
        unit_of(SPLIT[0]),
        _of_model(query, "$col"),
        "Mean of the interval's requests, stacked: waiting in the queue, preparing inputs, in the model, "
        "preparing outputs.",
        stacked="sum",
    )


def _batch() -> Panel:
    name = "mean_executed_batch"
    query = _STATISTICS.weighted([name], "execution_count", by=["run", "model"], selected=_CHOSEN)
    return lines(
        "Batch executed",
        unit_of(name),
        _of_model(query, "batch"),
        "Inferences in an execution of the model, mean of the interval: what the dynamic batcher makes.",
    )


def _counted(title: str, unit: str, named: dict[str, str], text: str) -> Panel:
    columns = [_STATISTICS.rate(name, shown) for name, shown in named.items()]
    query = _STATISTICS.every(*columns, by=["run", "model"], selected=_CHOSEN)
    return lines(title, unit, _of_model(query, "$col"), text, width=6)


def _requests() -> Panel:
    named = {"success_count": "success", "fail_count": "failed"}
    text = "Requests per second that Triton says it answered."
    return _counted("Requests", unit_of("request_rate"), named, text)


def _executions() -> Panel:
    named = {"inference_count": "inferences", "execution_count": "executions"}
    text = "Per second; their ratio is the batch executed."
    return _counted("Inferences and executions", unit_of("inference_rate"), named, text)


def _pending() -> Panel:
    name = "nv_inference_pending_request_count"
    query = _METRICS.every(_METRICS.largest(name), by=["run", "model"], selected=_CHOSEN)
    return lines(
        "Pending",
        unit_of(name),
        _of_model(query, "pending"),
        "Requests that wait for execution, as Triton's metrics page shows them; the interval's largest.",
        width=6,
    )


def _cache() -> Panel:
    named = {"cache_hits": "hits", "cache_misses": "misses"}
    text = "Requests per second answered from the response cache, or not held by it; zero without a cache."
    return _counted("Response cache", unit_of("request_rate"), named, text)


def _steps() -> Panel:
    query = _STEP.rows(["run", "step_name", "model", "batch"], _OF_STEP, ("run", "step", "model"))
    return rows(
        "Steps: mean time of a request in the server, and what lies between",
        query,
        "Exact, of the measured trials. network_client_ns is the mean latency that the server does not "
        "account for. Empty cells: the model has several classes of requests in the step.",
        fields={name: {"unit": unit_of(name)} for name in _OF_STEP},
    )


def _composing() -> Panel:
    query = _COMPOSING.rows(["run", "step_name", "model", "composing"], _OF_PART, ("run", "step"))
    return rows(
        "Steps: models that an ensemble is composed of",
        query,
        "As above, for each composing model; empty without an ensemble.",
        fields={name: {"unit": unit_of(name)} for name in _OF_PART},
    )
