"""The rows of summary.json for one step: one per flow and class, and one for the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from triton_users.clock import wall_text
from triton_users.report.figures import latency_figures, server_figures
from triton_users.report.outcome import RunOutcome, StepOutcome, WorkerView
from triton_users.sinks.redact import redact_text
from triton_users.stats.merge import merge_series
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, Series
from triton_users.step import CLOSED, Flow, RequestClass
from triton_users.units import NS_PER_S

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """A row's share of a step: ``cls`` None stands for all classes of ``flows``."""

    flows: tuple[Flow, ...]
    cls: RequestClass | None
    series: Series
    models: tuple[str, ...]


def step_rows(run: RunOutcome, outcome: StepOutcome) -> list[Row]:
    """One row per flow and class, in the order of the step; with several of them one more for the whole."""
    parts = list(_parts(outcome))
    if len(parts) != 1:
        flows = outcome.result.step.flows
        models = tuple(dict.fromkeys(model for part in parts for model in part.models))
        whole = merge_series(part.series for part in parts)
        models = models or tuple(dict.fromkeys(flow.model for flow in flows))
        parts.append(_Part(flows, None, whole, models))
    return [_row(run, outcome, part, parts) for part in parts]


def _parts(outcome: StepOutcome) -> Iterator[_Part]:
    totals = outcome.result.totals
    for flow in outcome.result.step.flows:
        planned = [cls for cls, _ in flow.classes]
        seen = [cls for name, cls in totals if name == flow.name and cls not in planned]
        for cls in [*planned, *sorted(seen)]:
            yield _Part((flow,), cls, totals.get((flow.name, cls), Series()), (cls.model,))


def _row(run: RunOutcome, outcome: StepOutcome, part: _Part, parts: Sequence[_Part]) -> Row:
    result, series, verdict = outcome.result, part.series, outcome.verdict
    closed = all(flow.process == CLOSED for flow in part.flows)
    model = part.models[0] if len(part.models) == 1 else None
    latency = latency_figures(series.hists.get(LATENCY))
    service = series.hists.get(SERVICE_LATENCY)
    budget = run.latency_threshold_ns
    return {
        "name": result.step.name,
        "flow": part.flows[0].name if len(part.flows) == 1 else None,
        "model": model,
        "model_version": outcome.model_versions.get(model) if model else None,
        "class": _class(part.cls),
        **_load(part.flows, closed),
        "started_at": wall_text(run.zero_wall_ns + result.trials[0].start_ns) if result.trials else None,
        "duration_ns": result.measured_ns,
        "trials": len(result.trials),
        "valid": verdict.valid,
        "stable": verdict.stable,
        "scheduled": series.scheduled,
        "sent": series.sent,
        "ok": series.ok,
        "failed": sum(series.failed.values()),
        "dropped": series.dropped,
        "lost": series.lost,
        "late": series.late,
        "inferences": series.inferences,
        "messages": _messages(outcome, part, parts),
        "errors": dict(sorted(series.failed.items())),
        "achieved_request_rate": _rate(series.completed, result.measured_ns),
        "inference_rate": _rate(series.completed_inferences, result.measured_ns),
        "goodput_rate": None if budget is None else _rate(series.good, result.measured_ns),
        "latency_ns": latency,
        "service_latency_ns": latency_figures(service) if service or not closed else latency,
        "send_lag_ns": None if closed else latency_figures(series.hists.get(SEND_LAG)),
        "server": _server(outcome, part, parts),
        "audit": _audit(outcome, part, parts),
        "generators": _generators(outcome),
        "gaps": [asdict(gap) for gap in outcome.gaps],
    }


def _class(cls: RequestClass | None) -> Row | None:
    if cls is None:
        return None
    return {
        "batch_size": cls.batch_size,
        "input_shapes": {name: list(dims) for name, dims in cls.input_shapes},
    }


def _load(flows: Sequence[Flow], closed: bool) -> Row:
    rates = [flow.rate for flow in flows if flow.rate is not None]
    processes = list(dict.fromkeys(flow.process for flow in flows if flow.process != CLOSED))
    return {
        "mode": "closed" if closed else "open",
        "concurrency": sum(flow.users or 0 for flow in flows) if closed else None,
        "request_rate": sum(rates) if rates else None,
        "distribution": "+".join(processes) or None,
    }


def _rate(count: int, measured_ns: int) -> float | None:
    return count * NS_PER_S / measured_ns if measured_ns else None


def _server(outcome: StepOutcome, part: _Part, parts: Sequence[_Part]) -> Row | None:
    split = outcome.server.get(part.models[0]) if _has_model_alone(part, parts) else None
    return None if split is None else server_figures(split, _mean_of_all_ns(outcome, part.models[0]))


def _mean_of_all_ns(outcome: StepOutcome, model: str) -> float | None:
    """The mean latency of the very requests that the server's figures are about, measured or not."""
    series = [*outcome.result.totals.items(), *outcome.result.unmeasured.items()]
    hists = [one.hists[LATENCY] for (_, cls), one in series if cls.model == model and LATENCY in one.hists]
    count = sum(hist.total for hist in hists)
    return sum(hist.sum for hist in hists) / count if count else None


def _has_model_alone(part: _Part, parts: Sequence[_Part]) -> bool:
    """Triton counts by model: only a row that has all requests of a model gets its numbers."""
    others = (other for other in parts if other is not part and other.cls is not None)
    return len(part.models) == 1 and (
        part.cls is None or all(other.models != part.models for other in others)
    )


def _audit(outcome: StepOutcome, part: _Part, parts: Sequence[_Part]) -> Row | None:
    """The audit of the row's model; for the whole, those of all models together."""
    if part.cls is not None and not _has_model_alone(part, parts):
        return None
    audits = [outcome.audits[model] for model in part.models if model in outcome.audits]
    if not audits:
        return None
    skipped = next((audit.skipped for audit in audits if audit.skipped), None)
    return {
        "ours": sum(audit.ours for audit in audits),
        "server": sum(audit.server for audit in audits),
        "ours_inferences": sum(audit.ours_inferences for audit in audits),
        "server_inferences": sum(audit.server_inferences for audit in audits),
        "equal": None if skipped else all(audit.equal for audit in audits),
        "skipped": skipped,
    }


def _messages(outcome: StepOutcome, part: _Part, parts: Sequence[_Part]) -> list[Row]:
    """The first error messages of the step: in its only row, or in the one for the whole."""
    if part is not parts[-1]:
        return []
    return [
        {"status": status, "message": redact_text(message), "count": count}
        for status, message, count in outcome.result.messages
    ]


def _generators(outcome: StepOutcome) -> list[Row]:
    """The workers' state belongs to the step; the row for the whole and each class's have the same."""
    generators = outcome.result.generators
    nobody = WorkerView("", 0, None)
    views = [outcome.workers.get(generator.worker, nobody) for generator in generators]
    owned = [generator.scheduled + view.unheard for generator, view in zip(generators, views, strict=True)]
    whole = sum(owned)
    return [
        {
            "worker": generator.worker,
            "host": generator.host,
            "address": view.address or None,
            "share": own / whole if whole else None,
            "requests": generator.sent,
            "never_sent": view.never_sent,
            "unrecorded": view.unrecorded,
            "clock_offset_ns": view.clock_offset_ns,
            "clock_uncertainty_ns": view.clock_uncertainty_ns,
            "cpu_ratio": generator.cpu_mean,
            "send_lag_p99_ns": generator.send_lag_p99_ns if outcome.result.step.open_loop else None,
            "late": generator.late,
            "dropped": generator.dropped,
            "windows": generator.windows,
            "windows_missing": generator.windows_missing,
            "loop_stall_max_ns": generator.loop_stall_max_ns,
            "loop_stalls": generator.loop_stalls,
            "gc_collections": generator.gc_collections,
        }
        for generator, view, own in zip(generators, views, owned, strict=True)
    ]
