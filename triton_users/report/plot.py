"""summary.svg: a picture of a run, latency over throughput, self-contained, for a page or a README.

Each step is a vertical stroke: a dot at p50, a tick at p90, a cap at p99. Steps of one class in closed loop
are joined in the order of their concurrency, so that the bend shows where the server is full; steps under a
rate are diamonds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from triton_users import units
from triton_users.names import shapes_name
from triton_users.report.axes import Axis, linear_axis, log_axis
from triton_users.report.numbers import Scale, digits, scale_for
from triton_users.sinks.atomic import write_text
from triton_users.sinks.folder import writing

Row = dict[str, Any]

WIDTH, HEIGHT = 820, 460
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 92, 60
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94", "#b8860b", "#00798c")
"""Told apart by most colour-blind eyes, and in print by their lightness."""

STYLE = (
    "text{font:13px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#333}"
    ".t{font-size:17px;font-weight:600;fill:#111}.s{font-size:12px;fill:#666}.n{font-size:11.5px;stroke:#fff;stroke-width:3px;paint-order:stroke}"
    ".g{stroke:#e6e6e6}.a{stroke:#999}"
)


def render_svg(summary: dict[str, Any]) -> str:
    """The picture of a summary's steps; one that says so where nothing was answered."""
    rows = [row for row in summary["steps"] if row["latency_ns"]["p50"] and row["inference_rate"]]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(_title(summary))}</title><style>{STYLE}</style>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
        f'<text class="t" x="{LEFT}" y="32">{escape(_title(summary))}</text>',
    ]
    if rows:
        parts += _plot(rows)
    else:
        parts.append(f'<text x="{LEFT}" y="{HEIGHT / 2}">No request was answered.</text>')
    return "\n".join([*parts, "</svg>\n"])


def write(summary: dict[str, Any], path: Path) -> None:
    """Write summary.svg, whole or not at all. Raises ResultsError."""
    with writing(path):
        write_text(path, render_svg(summary))


def _title(summary: dict[str, Any]) -> str:
    models = ", ".join(dict.fromkeys(row["model"] for row in summary["steps"] if row["model"]))
    version = summary["run"]["server"]["version"]
    return f"{models or 'Nothing measured'} on Triton{f' {version}' if version else ''}"


def _plot(rows: Sequence[Row]) -> Iterator[str]:
    scale = scale_for(row["latency_ns"]["p50"] for row in rows)
    across = linear_axis([row["inference_rate"] for row in rows], LEFT, WIDTH - RIGHT)
    latencies = [row["latency_ns"][name] for row in rows for name in ("p50", "p99")]
    up = log_axis([value / scale.ns for value in latencies], HEIGHT - BOTTOM, TOP)
    yield from _frame(across, up, scale)
    names = _class_names(rows)
    distinct = list(dict.fromkeys(names))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(distinct)}
    yield from _legend(rows, colours)
    for name, colour in colours.items():
        own = [row for row, its in zip(rows, names, strict=True) if its == name]
        yield f'<g stroke="{colour}" fill="{colour}">'
        yield from _line([row for row in own if row["mode"] == "closed"], across, up, scale)
        for row in own:
            yield from _step(row, across, up, scale)
        yield "</g>"


def _frame(across: Axis, up: Axis, scale: Scale) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick in up.ticks():
        y = up.at(tick)
        yield f'<line class="g" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{_tick(tick)}</text>'
    for tick in across.ticks():
        x = across.at(tick)
        yield f'<line class="a" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_tick(tick)}</text>'
    yield f'<line class="a" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle:.1f}" y="{HEIGHT - 16}" text-anchor="middle">inferences per second</text>'
    y = (TOP + bottom) / 2
    yield f'<text transform="translate(20 {y}) rotate(-90)" text-anchor="middle">latency, {scale.unit}</text>'


def _legend(rows: Sequence[Row], colours: dict[str, str]) -> Iterator[str]:
    x = float(LEFT)
    for name, colour in colours.items():
        yield f'<circle cx="{x + 5}" cy="53" r="5" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="57.5">{escape(name)}</text>'
        x += 40 + 7.2 * len(name)
    modes = {row["mode"] for row in rows}
    words = ["dot p50, tick p90, cap p99"]
    if "closed" in modes:
        words.append("number: requests in flight")
    if "open" in modes:
        words.append("diamond: offered rate")
    yield f'<text class="s" x="{LEFT}" y="78">{" · ".join(words)}</text>'


def _line(rows: Sequence[Row], across: Axis, up: Axis, scale: Scale) -> Iterator[str]:
    ordered = sorted(rows, key=lambda row: row["concurrency"] or 0)
    points = [
        f"{across.at(row['inference_rate']):.1f},{up.at(row['latency_ns']['p50'] / scale.ns):.1f}"
        for row in ordered
    ]
    if len(points) > 1:
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke-width="2" stroke-opacity=".45"/>'


def _step(row: Row, across: Axis, up: Axis, scale: Scale) -> Iterator[str]:
    x = across.at(row["inference_rate"])
    p50, p90, p99 = (up.at(row["latency_ns"][name] / scale.ns) for name in ("p50", "p90", "p99"))
    yield f"<g><title>{escape(_words(row))}</title>"
    yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{p50:.1f}" y2="{p99:.1f}" stroke-width="1.5"/>'
    yield f'<line x1="{x - 3:.1f}" x2="{x + 3:.1f}" y1="{p90:.1f}" y2="{p90:.1f}" stroke-width="1.5"/>'
    yield f'<line x1="{x - 6:.1f}" x2="{x + 6:.1f}" y1="{p99:.1f}" y2="{p99:.1f}" stroke-width="2"/>'
    if row["mode"] == "closed":
        yield f'<circle cx="{x:.1f}" cy="{p50:.1f}" r="5"/>'
        label = str(row["concurrency"])
    else:
        yield f'<path d="M{x:.1f} {p50 - 7:.1f}l7 7l-7 7l-7 -7z" stroke="#fff"/>'
        label = units.format_rate(row["request_rate"])
    yield f'<text class="n" x="{x + 10:.1f}" y="{p50 + 4:.1f}">{label}</text></g>'


def _words(row: Row) -> str:
    latency = row["latency_ns"]
    figures = ", ".join(f"{name} {units.format_duration(latency[name])}" for name in ("p50", "p90", "p99"))
    return f"{row['name']}: {digits(row['inference_rate'])} inferences/s, {figures}"


def _class_names(rows: Sequence[Row]) -> list[str]:
    """The batch size, with the model and the input shape where the run has several of them."""
    several_models = len({row["model"] for row in rows if row["class"]}) > 1
    several_shapes = len({_shape(row) for row in rows if row["class"]}) > 1
    names = []
    for row in rows:
        if row["class"] is None:
            names.append("all classes")
            continue
        parts = [row["model"]] if several_models else []
        parts.append(f"batch {row['class']['batch_size']}")
        names.append(", ".join([*parts, _shape(row)] if several_shapes else parts))
    return names


def _shape(row: Row) -> str:
    shapes = row["class"]["input_shapes"]
    return shapes_name(tuple((name, tuple(dims)) for name, dims in shapes.items()))


def _tick(value: float) -> str:
    return f"{value:,.10g}"
