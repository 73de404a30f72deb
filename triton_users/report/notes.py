"""What stands around the tables: what was measured, what failed, what is doubtful, and the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from triton_users import units
from triton_users.report.tables import THIN_MARK
from triton_users.stats.histogram import THIN, thin_percentiles
from triton_users.verdict.verdict import INVALID

Row = dict[str, Any]

MARKED_IN_TABLE = "thin_percentiles"
"""The code of the reason that the table itself shows, number by number."""

MAX_STEPS_NAMED = 3

MEANINGS = {
    "dropped": "never sent, the in-flight cap was full",
    "lost": "its generator fell silent",
    "late": "sent more than 1 ms after its arrival",
}
"""Of the counts that do not explain themselves."""

SEVERITY_STYLE = {"invalid": "bold red", "doubtful": "yellow"}


def title(summary: dict[str, Any]) -> Text:
    """What was measured, where, and with which seed."""
    run, server = summary["run"], summary["run"]["server"]
    models = dict.fromkeys(row["model"] for row in summary["steps"] if row["model"])
    triton = f"{'embedded ' if server['embedded'] else ''}Triton {server['version'] or ''}".strip()
    parts = [
        f"{', '.join(models) or 'nothing'} on {triton} at {server['url']}",
        "1 worker" if run["workers"] == 1 else f"{run['workers']} workers",
        f"seed {run['seed']}",
        units.format_duration(run["duration_ns"]),
    ]
    return Text(" · ".join(parts), "bold")


def legend(rows: Sequence[Row], width: int, budget_ns: int | None) -> list[Text]:
    """How to read the latencies, the server's part of them, and the sign at thin percentiles."""
    modes = {row["mode"] for row in rows}
    sentences = ["Closed loop: a request is sent when another is answered, so latency is service latency."]
    if "open" in modes:
        closed = "; in closed loop that is the service latency" if "closed" in modes else ""
        sentences = [f"Latency counts from the intended arrival to the answer{closed}."]
    if budget_ns is not None:
        sentences.append(f"good: requests answered within {units.format_duration(budget_ns)}.")
    if any(row["server"] for row in rows):
        sentences.append(
            "queue to output: Triton's own means, warm-up included; network: the rest, the client included;"
            " batch run: as executed."
        )
    if any(row["server"] and row["server"]["cache_hits"] for row in rows):
        sentences.append(
            "hits: answered from Triton's response cache; input to output are those of the others."
        )
    if any(thin_percentiles(row["latency_ns"]["count"]) for row in rows):
        sentences.append(
            f"{THIN_MARK} fewer than {THIN} requests lie above this percentile: it hangs on single requests;"
            " measure longer (-p) to rely on it."
        )
    return [line for sentence in sentences for line in _wrap(sentence, width, "dim", "  ")]


def failure_lines(rows: Sequence[Row], width: int) -> list[Text]:
    """What the counts mean, and the first error messages, most frequent first. Those of a step's warm-up are
    among them, which no count of the table holds."""
    words = [f"{name}: {text}" for name, text in MEANINGS.items() if any(row[name] for row in rows)]
    if any(row.get("messages") for row in rows):
        words.append("messages: warm-up included")
    lines = _wrap(" · ".join(words), width, "dim")
    for row in rows:
        for found in sorted(row.get("messages", []), key=lambda item: -item["count"]):
            count = units.format_count(found["count"])
            lines += _wrap(f"{row['name']}: {count} × {found['status']} {found['message']}", width, "red")
    return lines


def exception_line(summary: dict[str, Any], width: int) -> list[Text]:
    """What users' tasks raised: beside the ledger, for a request counts by its own outcome."""
    count = summary["run"].get("exceptions")
    if not count:
        return []
    what = (
        "an exception: it"
        if count == 1
        else f"{units.format_count(count)} exceptions: the first of each kind"
    )
    return _wrap(f"Tasks raised {what} is in the log.", width, "red")


def audit_line(rows: Sequence[Row], width: int) -> list[Text]:
    """Whether the server counted what we counted: one sentence if it did; else a reason has the numbers."""
    steps = {row["name"]: row["audit"] for row in rows}  # a step's last row is the one for the whole
    audits = [(name, audit) for name, audit in steps.items() if audit is not None]
    if not audits:
        return _wrap("Audit: not held against the server's own count.", width, "dim")
    lines = []
    equal = [name for name, audit in audits if audit["equal"]]
    if equal:
        which = (
            f"in {units.format_count(len(equal))} of {len(audits)} steps"
            if len(equal) < len(audits)
            else "in every step"
        )
        text = f"Audit: Triton counted exactly the requests and inferences that we did {which}."
        lines += _wrap(text, width, "green")
    for name, audit in audits:
        if audit["skipped"]:
            lines += _wrap(f"Audit skipped, {name}: {audit['skipped']}.", width, "dim")
        elif audit["equal"] is False:
            lines += _wrap(
                f"Audit, {name}: Triton counted otherwise than we did, see below.", width, "yellow"
            )
    return lines


def generator_line(rows: Sequence[Row], width: int) -> list[Text]:
    """How the load generator itself fared: its worst step."""
    generators = [generator for row in rows for generator in row["generators"]]
    if not generators:
        return []
    text = (
        f"Generator: at most {units.format_percent(max(g['cpu_ratio'] for g in generators))} of a processor"
    )
    lags = [row["send_lag_ns"]["p99"] for row in rows if row["send_lag_ns"] and row["send_lag_ns"]["p99"]]
    if lags:
        text += f", send lag p99 at most {units.format_duration(max(lags))}"
    missing = sum(
        {(row["name"], g["worker"]): g["windows_missing"] for row in rows for g in row["generators"]}.values()
    )
    if missing:
        text += f", {units.format_count(missing)} seconds of results missing"
    return _wrap(text + ".", width, "dim")


def reason_lines(reasons: Sequence[Row], width: int) -> list[Text]:
    """Each reason once, the grave ones first, with what to do; one of several steps names them."""
    lines: list[Text] = []
    shown = [reason for reason in reasons if reason["code"] != MARKED_IN_TABLE]
    for severity in sorted({reason["severity"] for reason in shown}, key=lambda name: name != INVALID):
        lines.append(Text(severity.capitalize(), SEVERITY_STYLE.get(severity, "bold")))
        for group in _by_code([reason for reason in shown if reason["severity"] == severity]):
            steps = [reason["step"] for reason in group if reason["step"]]
            head = f"{steps[0]}: " if steps else ""
            lines += _wrap(f"• {head}{group[0]['message']}", width, "", "  ")
            if len(group) > 1:
                lines += _wrap(f"  also in {_listed(steps[1:])}", width, "dim", "  ")
            lines += _wrap(f"  → {group[0]['advice']}", width, "cyan", "    ")
    return lines


def threshold_lines(thresholds: Sequence[Row], width: int) -> list[Text]:
    """Each threshold with its outcome."""
    outcomes = {True: ("met", "green"), False: ("missed", "bold red"), None: ("not decided", "yellow")}
    lines: list[Text] = []
    for found in thresholds:
        word, style = outcomes[found["passed"]]
        value = "" if found["value"] is None else f" (measured {found['value']:.4g})"
        lines += _wrap(f"Threshold {found['expression']}: {word}{value}", width, style)
    return lines


def closing(summary: dict[str, Any], folder: str | None) -> Iterator[Text]:
    """The verdict in one word, and where everything is."""
    missed = any(found["passed"] is False for found in summary.get("thresholds", []))
    if not summary["valid"]:
        yield Text("Result: NOT VALID, see the reasons above", "bold red")
    elif missed:
        yield Text("Result: valid, but not all thresholds were met", "bold red")
    else:
        yield Text("Result: valid", "bold green")
    if folder:
        yield Text(f"Saved in {folder}", "bold")


def _by_code(reasons: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = {}
    for reason in reasons:
        groups.setdefault(reason["code"], []).append(reason)
    return list(groups.values())


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MAX_STEPS_NAMED:
        return " · ".join(names)
    return " · ".join(names[:MAX_STEPS_NAMED]) + f" and {len(names) - MAX_STEPS_NAMED} more"


def _wrap(text: str, width: int, style: str, indent: str = "") -> list[Text]:
    wrapped = textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [Text(line, style) for line in wrapped]
