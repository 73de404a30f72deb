"""The table of workers: who sent what, how each fared, and how well its clock is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from triton_users import units
from triton_users.report.grid import Column, render_grid

Row = dict[str, Any]
MAX_SHOWN = 16
SUMS = ("requests", "late", "dropped", "never_sent", "unrecorded", "windows", "windows_missing")
ALWAYS = ("requests", "windows")
HEADERS = {"never_sent": "never sent", "windows_missing": "missing"}


def worker_table(rows: Sequence[Row]) -> list[Text]:
    """Over all steps; nothing for a single worker. Of very many, those with the most CPU."""
    workers = sorted(_workers(rows), key=lambda worker: -worker["cpu_ratio"])
    if len(workers) < 2:
        return []
    shown = sorted(workers[:MAX_SHOWN], key=lambda worker: worker["worker"])
    names = [name for name in SUMS if name in ALWAYS or any(worker[name] for worker in shown)]
    columns = [
        Column("worker", [str(worker["worker"]) for worker in shown]),
        Column("at", [worker["address"] or worker["host"] or "" for worker in shown], left=True),
        Column("share", [units.format_percent(worker["share"]) for worker in shown]),
        Column("CPU", [units.format_percent(worker["cpu_ratio"]) for worker in shown]),
        Column("lag p99", [_duration(worker["send_lag_p99_ns"]) for worker in shown]),
        Column("clock", [_clock(worker) for worker in shown]),
        *(Column(HEADERS.get(n, n), [units.format_count(worker[n]) for worker in shown]) for n in names),
    ]
    lines = render_grid([column for column in columns if any(column.cells)])  # a closed loop has no lag
    if len(workers) > len(shown):
        lines.append(Text(f"and {len(workers) - len(shown)} workers with less CPU: see summary.json", "dim"))
    return lines


def _workers(rows: Sequence[Row]) -> list[Row]:
    """One for each worker: counts added up over the steps, its share of all that was scheduled in them, the
    worst of the rest."""
    steps: dict[str, Row] = {row["name"]: row for row in rows}  # the row for the whole is a step's last
    whole = sum(row["scheduled"] for row in steps.values()) or 1
    of: dict[int, list[Row]] = {}
    shares: dict[int, float] = {}
    for row in steps.values():
        for generator in row["generators"]:
            worker = generator["worker"]
            of.setdefault(worker, []).append(generator)
            part = (generator["share"] or 0) * row["scheduled"] / whole
            shares[worker] = shares.get(worker, 0.0) + part
    return [_sum(parts) | {"share": shares[worker]} for worker, parts in of.items()]


def _sum(parts: Sequence[Row]) -> Row:
    total = parts[0] | {name: sum(part[name] for part in parts) for name in SUMS}
    for name in ("cpu_ratio", "send_lag_p99_ns", "clock_uncertainty_ns"):
        total[name] = max((part[name] for part in parts if part[name] is not None), default=None)
    return total


def _duration(ns: int | None) -> str:
    return "" if ns is None else units.format_duration(ns)


def _clock(worker: Row) -> str:
    unsure = worker["clock_uncertainty_ns"]
    return "" if unsure is None else f"± {units.format_duration(unsure)}"
