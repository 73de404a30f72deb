"""What Grafana does with a dashboard's JSON before a query leaves it: its variables, by its rules.

Those of its data source "influxdb" for InfluxQL: datasource.ts, interpolateQueryExpr; query.go, Build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "grafana/dashboards"
NAMES = sorted(path.name for path in FOLDER.glob("*.json"))
ALL = "$__all"
TOTALS = {
    "Scheduled": "scheduled",
    "Answered": "ok",
    "Failed": "failed",
    "Dropped": "dropped",
    "Lost": "lost",
    "Late": "late",
}
"""Panels of one figure by title: the count of summary.json that it is."""
_SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}/]")
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")


def read(name: str) -> Json:
    made: Json = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return made


def panels(dashboard: Json) -> list[Json]:
    """All but the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Json) -> Iterator[tuple[str, str]]:
    """Title and text of every query: of panels, of variables, of annotations."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["query"]
    for variable in variables(dashboard).values():
        yield f"${variable['name']}", variable["query"]
    for annotation in dashboard["annotations"]["list"]:
        yield annotation["name"], annotation["target"]["query"]


def variables(dashboard: Json) -> dict[str, Json]:
    """Those that are asked of the database, by name."""
    return {one["name"]: one for one in dashboard["templating"]["list"] if one["type"] == "query"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A time range, an interval, and what is chosen in the variables: several values, one, or ``ALL``."""

    from_ms: int
    to_ms: int
    interval_s: int
    values: Mapping[str, str | list[str]]

    def filled(self, dashboard: Json, query: str) -> str:
        """The query as the database gets it. Raises KeyError where a variable is none of the dashboard's."""
        known = variables(dashboard)
        built_in = {
            "timeFilter": f"time >= {self.from_ms}ms and time <= {self.to_ms}ms",
            "__interval": f"{self.interval_s}s",
            "__interval_ms": str(self.interval_s * 1000),
        }

        def value(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            return built_in.get(name) or self._value(known[name])

        return _VARIABLE.sub(value, query)

    def _value(self, variable: Json) -> str:
        assert variable["multi"], variable["name"]
        value = self.values.get(variable["name"], ALL)
        if value == ALL:
            whole: str = variable["allValue"]
            return whole
        if isinstance(value, str):
            return _escaped(value)
        return f"({'|'.join(map(_escaped, value))})"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)
