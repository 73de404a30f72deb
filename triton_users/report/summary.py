"""summary.json: a run's outcome by the contract, for programs and for every other report."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triton_users.clock import wall_text
from triton_users.report.outcome import RunOutcome
from triton_users.report.rows import step_rows
from triton_users.sinks.atomic import write_json
from triton_users.sinks.folder import ResultsError, writing
from triton_users.sinks.redact import plain, redact_command, redact_text

SCHEMA = 1

Summary = dict[str, Any]


def build(run: RunOutcome) -> Summary:
    """The summary: durations in integer ns, rates per second, None where a thing was not measured."""
    return {
        "schema": SCHEMA,
        "run": {
            "id": run.id,
            "seed": run.seed,
            "started_at": wall_text(run.zero_wall_ns),
            "duration_ns": run.duration_ns,
            "command": redact_command(run.command),
            "versions": dict(run.versions),
            "workers": run.workers,
            "latency_threshold_ns": run.latency_threshold_ns,
            "exceptions": run.exceptions,
            "server": {
                "url": redact_text(run.server.url),
                "version": run.server.version,
                "embedded": run.server.embedded,
                "extensions": list(run.server.extensions),
            },
        },
        "valid": run.verdict.valid,
        "reasons": [plain(asdict(reason)) for reason in run.verdict.reasons],
        "thresholds": [
            {"expression": item.expression, "value": item.value, "passed": item.passed}
            for item in run.verdict.thresholds
        ],
        "steps": [row for outcome in run.steps for row in step_rows(run, outcome)],
    }


def write(summary: Summary, path: Path) -> None:
    """Write summary.json, whole or not at all. Raises ResultsError."""
    with writing(path):
        write_json(path, summary)


def read(path: Path) -> Summary:
    """Read a summary.json. Raises ResultsError if it is not one, or of a schema that we do not know."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
        raise ResultsError(f"{path} is not a summary of schema {SCHEMA}; use the version that wrote it")
    return summary
