"""A plain table: columns of texts under one or two lines of headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

GAP = 2
HEAD = "bold"
RULE = "dim"


@dataclass(frozen=True, slots=True)
class Column:
    """``cells`` are right-aligned unless ``left``. Neighbours of one ``group`` share a line above."""

    header: str
    cells: Sequence[str]
    left: bool = False
    group: str = ""
    style: str = ""

    @property
    def width(self) -> int:
        return max(len(self.header), *map(len, self.cells), 0)

    def fit(self, text: str) -> str:
        return text.ljust(self.width) if self.left else text.rjust(self.width)


def width_of(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def render_grid(columns: Sequence[Column]) -> list[Text]:
    """The table's lines, without trailing spaces."""
    gap = " " * GAP
    lines = [Text(gap.join(column.fit(column.header) for column in columns).rstrip(), HEAD)]
    if any(column.group for column in columns):
        lines.insert(0, Text(_groups(columns).rstrip(), HEAD))
    lines.append(Text("─" * width_of(columns), RULE))
    for row in range(len(columns[0].cells)):
        line = Text(gap).join(Text(column.fit(column.cells[row]), column.style) for column in columns)
        line.rstrip()
        lines.append(line)
    return lines


def _groups(columns: Sequence[Column]) -> str:
    parts: list[str] = []
    for group, members in _runs(columns):
        width = width_of(members)
        if len(members) > 1 and group:
            parts.append(f" {group} ".center(width, "╌"))
        else:
            parts.append(group.rjust(width))
    return (" " * GAP).join(parts)


def _runs(columns: Iterable[Column]) -> list[tuple[str, list[Column]]]:
    runs: list[tuple[str, list[Column]]] = []
    for column in columns:
        if runs and runs[-1][0] == column.group:
            runs[-1][1].append(column)
        else:
            runs.append((column.group, [column]))
    return runs
