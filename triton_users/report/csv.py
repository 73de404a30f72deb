"""summary.csv: a row per step and class in Perf Analyzer's columns, so that its readers take ours.

Times are whole microseconds. ``Client Send`` and ``Client Recv`` are 0: requests are encoded before the load
begins, and what the client costs is in ``Network+Server Send/Recv``, so that the parts add up to the mean.
Columns that Perf Analyzer has not stand where a run needs them to tell its rows apart.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from triton_users import units
from triton_users.names import shapes_name
from triton_users.sinks.atomic import write_text
from triton_users.sinks.folder import writing

Row = dict[str, Any]
Cell = str | int | float | None

SERVER_COLUMNS = {
    "Network+Server Send/Recv": "network_client_ns",
    "Server Queue": "queue_ns",
    "Server Compute Input": "compute_input_ns",
    "Server Compute Infer": "compute_infer_ns",
    "Server Compute Output": "compute_output_ns",
}
PERCENTILES = ("p50", "p90", "p95", "p99")


def render(summary: dict[str, Any]) -> str:
    """The file's text, with a header line."""
    rows: list[Row] = summary["steps"]
    columns = _columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row) for cell in columns.values()] for row in rows)
    return text.getvalue()


def write(summary: dict[str, Any], path: Path) -> None:
    """Write summary.csv, whole or not at all. Raises ResultsError."""
    with writing(path):
        write_text(path, render(summary))


def _columns(rows: list[Row]) -> dict[str, Callable[[Row], Cell]]:
    columns: dict[str, Callable[[Row], Cell]] = {}
    modes = {row["mode"] for row in rows}
    if "closed" in modes or not modes:
        columns["Concurrency"] = lambda row: row["concurrency"]
    if "open" in modes:
        columns["Request Rate"] = lambda row: row["request_rate"]
    own: dict[str, Callable[[Row], Cell]] = {
        "User Class": lambda row: row["flow"],
        "Model": lambda row: row["model"],
        "Batch Size": lambda row: row["class"] and row["class"]["batch_size"],
        "Input Shape": _shape,
    }
    classes = [row for row in rows if row["class"]]
    columns |= {name: cell for name, cell in own.items() if len({cell(row) for row in classes}) > 1}
    columns["Inferences/Second"] = lambda row: _rounded(row["inference_rate"])
    columns["Client Send"] = lambda row: 0
    if any(row["server"] for row in rows):
        columns |= {header: _server_cell(name) for header, name in SERVER_COLUMNS.items()}
    columns["Client Recv"] = lambda row: 0
    columns |= {f"{name} latency": _latency_cell(name) for name in PERCENTILES}
    return columns


def _server_cell(name: str) -> Callable[[Row], Cell]:
    return lambda row: _us(row["server"] and row["server"][name])


def _latency_cell(name: str) -> Callable[[Row], Cell]:
    return lambda row: _us(row["latency_ns"][name])


def _shape(row: Row) -> Cell:
    if not row["class"]:
        return None
    return shapes_name(tuple((name, tuple(dims)) for name, dims in row["class"]["input_shapes"].items()))


def _us(value_ns: int | None) -> int | None:
    return None if value_ns is None else round(value_ns / units.NS_PER_US)


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 3)
