"""The tables of a finished run, from the rows of its summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from triton_users import units
from triton_users.metrics import PERCENTILES
from triton_users.names import load_name, shapes_name
from triton_users.report.grid import GAP, Column, render_grid, width_of
from triton_users.report.numbers import MISSING, align, digits, scale_for
from triton_users.stats.histogram import is_thin

Row = dict[str, Any]

THIN_MARK = "~"
BAR_HEADER = "█p50 ░p99"
MAX_BAR = 32
TROUBLES = ("failed", "dropped", "lost", "late")


def latency_table(rows: Sequence[Row], width: int) -> list[Text]:
    """Throughput and latency, a row per step and class, with bars where the width allows them."""
    scale = scale_for(row["latency_ns"]["p50"] for row in rows)
    columns = [*label_columns(rows), *_rate_columns(rows)]
    for name, q in PERCENTILES.items():
        cells = [scale.show(row["latency_ns"][name]) for row in rows]
        marked = [_mark(cell, row["latency_ns"]["count"], q) for cell, row in zip(cells, rows, strict=True)]
        columns.append(Column(name, align(marked), group=f"latency, {scale.unit}"))
    room = min(width - width_of(columns) - GAP, MAX_BAR)
    if room >= len(BAR_HEADER):
        columns.append(Column(BAR_HEADER, _bars(rows, room), left=True, style="cyan"))
    return render_grid(columns)


def time_table(rows: Sequence[Row]) -> list[Text]:
    """Mean, deviation and maximum, and where the mean comes from by the server's own account."""
    latencies = [row["latency_ns"] for row in rows]
    scale = scale_for(latency["mean"] for latency in latencies)
    means = align([scale.show(latency["mean"]) for latency in latencies])
    deviations = align([scale.show(latency["stddev"]) for latency in latencies])
    spread = [f"{mean} ± {deviation}" for mean, deviation in zip(means, deviations, strict=True)]
    group = f"latency, {scale.unit}"
    columns = [
        *label_columns(rows),
        Column("mean ± sd", spread, group=group),
        Column("max", align([scale.show(latency["max"]) for latency in latencies]), group=group),
    ]
    if any(row["server"] for row in rows):
        columns += _server_columns(rows, scale.show, scale.unit)
    return render_grid(columns)


def trouble_table(rows: Sequence[Row]) -> list[Text]:
    """The requests that were not answered, or not sent in time: only such rows, only such columns."""
    troubled = [row for row in rows if any(row[name] for name in TROUBLES)]
    if not troubled:
        return []
    names = ["scheduled", "ok", *(name for name in TROUBLES if any(row[name] for row in troubled))]
    columns = [Column(name, [units.format_count(row[name]) for row in troubled]) for name in names]
    return render_grid([*label_columns(troubled), *columns])


def label_columns(rows: Sequence[Row]) -> list[Column]:
    """Who each row is: its load, and of flow, model, batch size and input shape what tells the rows apart."""
    loads = [load_name(row["concurrency"], row["request_rate"], row["distribution"]) for row in rows]
    # Of several flows in a step each has its own, and the step the sum of them.
    said = [(row["name"], load) for row, load in zip(rows, loads, strict=True)]
    new = [i == 0 or said[i] != said[i - 1] for i in range(len(rows))]
    columns = [Column("load", [load if it else "" for load, it in zip(loads, new, strict=True)], left=True)]
    for header in ("flow", "model"):
        cells = [row[header] or (MISSING if row["class"] else "all") for row in rows]
        if len(set(cells) - {"all"}) > 1:
            columns.append(Column(header, cells, left=True))
    columns.append(Column("batch", [_batch(row) for row in rows]))
    shapes = [_shape(row) for row in rows]
    if len(set(shapes) - {"all"}) > 1:
        columns.append(Column("input", shapes, left=True))
    return columns


def _mark(text: str, count: int, q: float) -> str:
    return THIN_MARK + text if text != MISSING and is_thin(count, q) else text


def _batch(row: Row) -> str:
    """An arrival that made no request has none."""
    return str(row["class"]["batch_size"] or MISSING) if row["class"] else "all"


def _shape(row: Row) -> str:
    if not row["class"]:
        return "all"
    return shapes_name(tuple((name, tuple(dims)) for name, dims in row["class"]["input_shapes"].items()))


def _rate_columns(rows: Sequence[Row]) -> list[Column]:
    names = {"req": "achieved_request_rate", "infer": "inference_rate", "good": "goodput_rate"}
    shown = {header: align([digits(row[name]) for row in rows]) for header, name in names.items()}
    if shown["infer"] == shown["req"]:
        del shown["infer"]
    if all(row["goodput_rate"] is None for row in rows):
        del shown["good"]
    if len(shown) == 1:
        return [Column("requests/s", shown["req"])]
    return [Column(header, cells, group="per second") for header, cells in shown.items()]


def _server_columns(rows: Sequence[Row], show: Callable[[float | None], str], unit: str) -> list[Column]:
    servers = [row["server"] or {} for row in rows]

    def times(header: str, name: str) -> Column:
        return Column(header, align([show(server.get(name)) for server in servers]), group=f"of it, {unit}")

    executed = [digits(server.get("mean_executed_batch")) for server in servers]
    columns = [
        times("queue", "queue_ns"),
        times("input", "compute_input_ns"),
        times("infer", "compute_infer_ns"),
        times("output", "compute_output_ns"),
        times("network", "network_client_ns"),
        Column("run", align(executed), group="batch"),
    ]
    if any(server.get("cache_hits") for server in servers):
        columns.append(Column("hits", [_hits(server) for server in servers], group="cache"))
    return columns


def _hits(server: Row) -> str:
    if not server.get("success_count"):
        return MISSING
    return units.format_percent(server["cache_hits"] / server["success_count"])


EIGHTHS = " ▏▎▍▌▋▊▉█"


def _bars(rows: Sequence[Row], width: int) -> list[str]:
    """Solid up to p50, light up to p99, on one linear scale, so that lengths compare."""
    largest = max((row["latency_ns"]["p99"] or 0 for row in rows), default=0)
    bars = []
    for row in rows:
        if not largest or row["latency_ns"]["p50"] is None:
            bars.append("")
            continue
        p50, p99 = (row["latency_ns"][name] / largest * width for name in ("p50", "p99"))
        full, eighths = divmod(max(round(8 * p50), 1), 8)
        bar = "█" * full + EIGHTHS[eighths].strip()
        bars.append(bar + "░" * (round(p99) - len(bar)))
    return bars
