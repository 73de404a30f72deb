"""What the spool holds beside merged seconds: events, what steps lost and their results, a line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triton_users.sinks.redact import plain, redact_text
from triton_users.stats.lines import series_to_json
from triton_users.stats.window import Key, Series

Line = dict[str, Any]

OPEN_LOOP = "open_loop"
"""In a merged second, and in what a step lost: those of the step's flows that have a rate. A line without
it is of these alone."""

INFO, DOUBTFUL, INVALID, ERROR = "info", "doubtful", "invalid", "error"


def event_line(
    number: int,
    event: str,
    at_ns: int,
    title: str,
    text: str = "",
    *,
    severity: str = INFO,
    step: int | None = None,
    until_ns: int | None = None,
) -> Line:
    """Something that happened at ``at_ns`` of the run's axis. ``number`` counts the events of a run;
    ``until_ns`` makes it a span that began at ``at_ns``. A "step_start" is titled by the step's name."""
    return {
        "kind": "event",
        "number": number,
        "event": event,
        "at_ns": at_ns,
        "severity": severity,
        "title": redact_text(title),
        "text": redact_text(text),
        "step": step,
        "until_ns": until_ns,
    }


def step_line(index: int, name: str, start_ns: int, end_ns: int, rows: Sequence[Mapping[str, Any]]) -> Line:
    """A step's rows of summary.json; ``start_ns`` to ``end_ns`` are what was measured, on the run's axis."""
    return {
        "kind": "step",
        "step": index,
        "name": name,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "rows": [plain(row) for row in rows],
    }


def lost_line(
    index: int, name: str, at_ns: int, series: Mapping[Key, Series], open_loop: Sequence[str]
) -> Line:
    """What no second of a step tells, known when it ends at ``at_ns`` of the run's axis: arrivals of workers
    that fell silent, or granted to nobody. ``open_loop``: the step's flows that have a rate."""
    return {
        "kind": "lost",
        "step": index,
        "name": name,
        "at_ns": at_ns,
        OPEN_LOOP: list(open_loop),
        "series": [series_to_json(key, one) for key, one in series.items()],
    }
