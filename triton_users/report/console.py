"""What a person reads when a run is over; as a string of fixed width, or on a stream with colours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from triton_users.report import notes
from triton_users.report.tables import latency_table, time_table, trouble_table
from triton_users.report.workers import worker_table

WIDTH = 100
"""Columns where there is no terminal; a terminal is used up to MAX_WIDTH."""

MAX_WIDTH = 140


def result_lines(summary: dict[str, Any], folder: str | None = None, width: int = WIDTH) -> list[Text]:
    """The final report of a summary, line by line. ``folder`` is shown as the place of the results."""
    rows: Sequence[dict[str, Any]] = summary["steps"]
    blocks: list[list[Text]] = [[notes.title(summary)]]
    if rows:
        blocks += [
            latency_table(rows, width),
            time_table(rows),
            [
                *trouble_table(rows),
                *notes.failure_lines(rows, width),
                *notes.exception_line(summary, width),
            ],
            worker_table(rows),
            notes.legend(rows, width, summary["run"].get("latency_threshold_ns")),
            [*notes.audit_line(rows, width), *notes.generator_line(rows, width)],
        ]
    blocks += [
        notes.reason_lines(summary["reasons"], width),
        [*notes.threshold_lines(summary.get("thresholds", []), width), *notes.closing(summary, folder)],
    ]
    lines: list[Text] = []
    for block in blocks:
        lines += [Text(), *block] if block else []
    return lines


def render_result(summary: dict[str, Any], folder: str | None = None, width: int = WIDTH) -> str:
    """``result_lines`` as plain text that ends in a newline."""
    return "".join(f"{line.plain}\n" for line in result_lines(summary, folder, width))


def print_result(summary: dict[str, Any], folder: str | None = None, stream: TextIO | None = None) -> None:
    """The final report on ``stream`` (default: stdout); coloured on a terminal, not under NO_COLOR."""
    stream = stream or sys.stdout
    print_lines(result_lines(summary, folder, width_of(stream)), stream)


def print_lines(lines: Sequence[Text], stream: TextIO | None = None) -> None:
    """Lines as they are, never wrapped; signs that the stream's encoding lacks become question marks."""
    stream = stream or sys.stdout
    console = Console(file=stream, highlight=False, soft_wrap=True, legacy_windows=False)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        known = line.plain.encode(encoding, "replace").decode(encoding)
        console.print(line if known == line.plain else Text(known, line.style))


def width_of(stream: TextIO) -> int:
    """Columns for ``stream``: those of its terminal within limits, else WIDTH."""
    if not stream.isatty():
        return WIDTH
    return min(max(Console(file=stream).width, WIDTH), MAX_WIDTH)
