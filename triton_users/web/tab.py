"""The tab "Triton" in Locust's page: one table, asked for every two seconds while a run goes on."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from triton_users import units
from triton_users.clock import now_ns
from triton_users.report.numbers import MISSING
from triton_users.report.progress import phase
from triton_users.web.live import Live, Second

KEY = "triton"
STATS = "locust.request_stats"
COLUMNS = (("figure", "Figure"), ("now", "Last second"), ("step", "Step so far"))
LINKS = (
    ("./triton/", "Triton: live plots and results"),
    ("./triton/summary.json", "Triton: summary.json of the last run"),
    ("./triton/summary.csv", "Triton: summary.csv of the last run"),
)

RATES = (
    ("Offered rate", "request_rate"),
    ("Achieved rate", "achieved_request_rate"),
    ("Goodput", "goodput_rate"),
    ("Inferences", "inference_rate"),
)
LATENCIES = (
    ("Latency p50", "latency_p50_ns"),
    ("Latency p90", "latency_p90_ns"),
    ("Latency p99", "latency_p99_ns"),
    ("Service latency p50", "service_latency_p50_ns"),
    ("Service latency p99", "service_latency_p99_ns"),
    ("Send lag p99", "send_lag_p99_ns"),
)
COUNTS = (
    ("Answered", "ok"),
    ("Failed", "failed"),
    ("Dropped", "dropped"),
    ("Lost", "lost"),
    ("Late", "late"),
)


def install(web_ui: Any, live: Live) -> None:
    """Add the tab, its table, and links beside Locust's downloads."""
    web_ui.template_args |= {
        "extended_tabs": [{"title": "Triton", "key": KEY}],
        "extended_tables": [
            {"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS]}
        ],
        "extended_csv_files": [{"href": href, "title": title} for href, title in LINKS],
    }

    @web_ui.app.after_request  # type: ignore[untyped-decorator]  # Locust does not annotate its app
    def add_rows(response: Response) -> Response:
        if request.endpoint == STATS and response.is_json:
            report = response.get_json()
            report["extended_stats"] = [{"key": KEY, "data": rows(live)}]
            response.set_data(web_ui.app.json.dumps(report))
        return response


def where(live: Live) -> tuple[str, str]:
    """The step and its phase, in words."""
    run = live.run
    if run is None:
        return MISSING, "no run yet"
    position = run.record.position
    if run.refusal is not None:
        return MISSING, f"not measured: {run.refusal}"
    if position is None:
        return MISSING, "preparing"
    step = f"{position.step.name} ({position.number} of {position.planned})"
    if run.finished.is_set():
        return step, "finished"
    if position.t0_ns is None or (at_ns := now_ns() - position.t0_ns) < 0:
        return step, "preparing"
    return step, phase(position.step, at_ns)


def rows(live: Live) -> list[dict[str, str]]:
    """The table: the last merged second, what the step has counted so far, warm-up included, and what the
    sensors said last."""
    step, phase_text = where(live)
    last = live.last
    found = [_row("Step", step), _row("Phase", phase_text)]
    found += _measured(last, live.total, live.cpu) if last is not None else []
    found += [_row(title, text) for title, text in live.samples.figures()]
    return [*found, _row("Plots and results", "linked in the tab Download Data")]


def _measured(last: Second, total: dict[str, int], cpu: dict[int, float]) -> list[dict[str, str]]:
    rates = [(title, last.rates[name]) for title, name in RATES]
    latencies = [(title, last.latencies[name]) for title, name in LATENCIES]
    return [
        *(_row(title, MISSING if rate is None else units.format_rate(rate)) for title, rate in rates),
        *(_row(title, MISSING if ns is None else units.format_duration(ns)) for title, ns in latencies),
        _row("In flight", units.format_count(last.in_flight)),
        *(
            _row(title, units.format_count(last.counts[name]), units.format_count(total[name]))
            for title, name in COUNTS
        ),
        *(
            _row(f"CPU of worker {worker}", units.format_percent(ratio))
            for worker, ratio in sorted(cpu.items())
        ),
    ]


def _row(figure: str, now: str, step: str = "") -> dict[str, str]:
    return {"figure": figure, "now": now, "step": step}
