"""The result: goals with verdicts, all medians with intervals, machine and date, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.goals import GOALS, RATE, WITHIN, Answer, Goal, judge, series
from benchmarks.intervals import Interval, interval
from benchmarks.rounds import Results

SCHEMA = 1


class Figure(NamedTuple):
    """A column: its title, the field of Measurement, the divisor into the title's unit, the format."""

    title: str
    name: str
    scale: float
    form: str


FIGURES = tuple(
    Figure(*column)
    for column in (
        ("requests/s", RATE, 1.0, ",.0f"),
        ("CPU µs/request", "cpu_us_per_request", 1.0, ",.1f"),
        ("cores", "cores", 1.0, ".2f"),
        ("mean µs", "mean_ns", 1e3, ",.0f"),
        ("of it in Triton µs", "server_mean_ns", 1e3, ",.0f"),
        ("p50 µs", "p50_ns", 1e3, ",.0f"),
        ("p99 µs", "p99_ns", 1e3, ",.0f"),
        ("send lag p50 µs", "send_lag_p50_ns", 1e3, ",.0f"),
        ("send lag p99 µs", "send_lag_p99_ns", 1e3, ",.0f"),
        ("of a typical second", "send_lag_p99_median_ns", 1e3, ",.0f"),
        ("late %", "late_ratio", 0.01, ".3f"),
        ("first request s", "first_request_s", 1.0, ".2f"),
        ("memory MB/min", "rss_slope_mb_per_min", 1.0, "+.2f"),
        ("memory MB", "rss_end_mb", 1.0, ",.0f"),
    )
)


def shown(found: Interval, form: str) -> str:
    """median [low – high]; the median alone when there is nothing around it."""
    if found.count == 1:
        return format(found.median, form)
    return f"{found.median:{form}} [{found.low:{form}} – {found.high:{form}}]"


def wanted(goal: Goal) -> str:
    return f"{goal.relation} {goal.bound:g} {goal.unit if goal.relation != WITHIN else ''}".strip()


def goal_form(goal: Goal) -> str:
    """Three digits that matter, whatever the size."""
    if goal.unit == "µs":
        return ",.0f"
    return ".2f" if goal.bound >= 0.25 or goal.unit != "×" else ".3f"


def goal_row(answer: Answer) -> str:
    goal = answer.goal
    if answer.found is None:
        return f"| {goal.text} | {wanted(goal)} | – | – | not measured |"
    form = ".3f" if goal.relation == WITHIN or goal.unit == "%" else goal_form(goal)
    verdict = "met" if answer.reached else "**missed**"
    found = shown(answer.found, form)
    return f"| {goal.text} | {wanted(goal)} | {found} | {answer.found.count} | {verdict} |"


def goals_table(answers: list[Answer]) -> list[str]:
    rows = ["| goal | wanted | found: median [interval] | rounds | |", "|---|---|---|---|---|"]
    return rows + [goal_row(answer) for answer in answers]


def case_tables(results: Results) -> list[str]:
    """One table a case with the columns that any of its peers filled."""
    lines = []
    for case in dict.fromkeys(case for case, _ in results.found):
        peers = [peer for name, peer in results.found if name == case]
        figures = [one for one in FIGURES if any(values(results, case, peer, one.name) for peer in peers)]
        lines += ["", f"### {case}", "", "| | " + " | ".join(one.title for one in figures) + " |"]
        lines.append("|---" * (len(figures) + 1) + "|")
        for peer in peers:
            cells = [cell(values(results, case, peer, one.name), one) for one in figures]
            lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    return lines


def values(results: Results, case: str, peer: str, figure: str) -> list[float]:
    return [value for value in series(results.found, case, peer, figure) if value is not None]


def cell(found: list[float], figure: Figure) -> str:
    return shown(interval([value / figure.scale for value in found]), figure.form) if found else "–"


def interval_note(rounds: int) -> str:
    """What the intervals in this result are worth."""
    if rounds == 1:
        return "One round: no intervals."
    sure = interval([float(number) for number in range(rounds)]).coverage
    kind = "order statistics" if rounds >= 6 else "too few rounds for 95 %: the whole range"
    return f"Intervals hold the true median with {sure:.1%} ({rounds} rounds, {kind})."


def markdown(results: Results, machine: Mapping[str, str], run: Mapping[str, Any]) -> str:
    answers = [judge(goal, results.found) for goal in GOALS]
    state = "" if results.complete else " **Stopped early.**"
    quick = " **Quick run: for development, the figures mean little.**" if run["quick"] else ""
    lines = [
        f"# Bench of {run['date']}",
        "",
        f"`{run['command']}`, {run['minutes']:.0f} minutes.{state}{quick}",
        "",
        interval_note(results.rounds),
        "Ratios are made round by round; of Perf Analyzer's two modes the better one of each round counts. "
        "A rate goal is met when its interval reaches it, any other when its median does. "
        "Rates are Triton's own success counts in mid-run (h2load: its own, over the run); CPU is that of "
        "the client's process tree over the same time.",
        "",
        *goals_table(answers),
        *case_tables(results),
    ]
    if results.incidents:
        lines += ["", "## What went wrong on the way", ""]
        lines += [f"- {' '.join(incident.split())[:500]}" for incident in results.incidents]
    lines += ["", "## Machine", "", *(f"- {name}: {value}" for name, value in machine.items())]
    return "\n".join(lines) + "\n"


def as_json(results: Results, machine: Mapping[str, str], run: Mapping[str, Any]) -> str:
    """Every measurement of every round, in the units of Measurement, with the verdicts."""
    answers = [judge(goal, results.found) for goal in GOALS]
    measured = [
        {"case": case, "peer": peer, "rounds": [None if one is None else one.as_dict() for one in found]}
        for (case, peer), found in results.found.items()
    ]
    document = {
        "schema": SCHEMA,
        "run": dict(run),
        "complete": results.complete,
        "machine": dict(machine),
        "goals": [asdict(answer) for answer in answers],
        "measurements": measured,
        "incidents": results.incidents,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def place(folder: Path, date: str, name: str, suffix: str = ".json") -> Path:
    """A stem for <date>-<name> in ``folder`` that overwrites no earlier result with this suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        stem = folder / (f"{date}-{name}" if number == 1 else f"{date}-{name}-{number}")
        if not stem.with_suffix(suffix).exists():
            return stem
        number += 1


def write(stem: Path, results: Results, machine: Mapping[str, str], run: Mapping[str, Any]) -> str:
    """Both files; the Markdown is also returned, to be printed."""
    text = markdown(results, machine, run)
    stem.with_suffix(".md").write_text(text)
    stem.with_suffix(".json").write_text(as_json(results, machine, run))
    return text
