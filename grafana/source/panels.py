"""The kinds of panels that the dashboards are made of, each with one look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard, units
from grafana_foundation_sdk.models import heatmap as heatmaps

from grafana.source.query import SOURCE, InfluxQuery, Ready

Panel = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel
Stacked = Literal["no", "sum", "share"]

SECOND = "1s"
"""Points come each second: no interval is shorter."""
_STACKING = {
    "no": kinds.StackingMode.NONE,
    "sum": kinds.StackingMode.NORMAL,
    "share": kinds.StackingMode.PERCENT,
}
_TALL, _LOW, _STAT = 8, 7, 3


@dataclass(frozen=True, slots=True)
class Line:
    """A query whose every column and group is a line; see ``InfluxQuery`` for ``alias``."""

    query: str
    alias: str


def lines(
    title: str,
    unit: str,
    queries: Sequence[Line],
    text: str,
    *,
    width: int = 12,
    stacked: Stacked = "no",
    top: float | None = None,
    low: float | None = 0,
) -> timeseries.Panel:
    """Lines over time, with a legend that tells their last and largest values. The axis goes from ``low``
    to ``top`` where they are given."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .height(_TALL)
        .span(width)
        .interval(SECOND)
        .unit(unit)
        .line_width(1)
        .fill_opacity(8 if stacked == "no" else 45)
        .show_points(kinds.VisibilityMode.AUTO)
        .span_nulls(False)
        .stacking(common.StackingConfig().mode(_STACKING[stacked]).group("A"))
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.TABLE if width >= 12 else kinds.LegendDisplayMode.LIST)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"] if width >= 12 else [])
        )
        .tooltip(
            common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
        )
    )
    if low is not None:
        panel = panel.min(low)
    if top is not None:
        panel = panel.max(top)
    for number, line in enumerate(queries):
        panel = panel.with_target(Ready(InfluxQuery(line.query, line.alias, ref_id=chr(ord("A") + number))))
    return panel


def number(title: str, unit: str, line: Line, text: str, *, fault: bool = False) -> stat.Panel:
    """One figure of each selected run, an eighth of the width. A ``fault`` is red but for zero."""
    steps = [dashboard.Threshold(None, "green" if fault else "text")]
    if fault:
        steps.append(dashboard.Threshold(1, "red"))
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .height(_STAT)
        .span(3)
        .interval(SECOND)
        .unit(unit)
        .no_value("–")
        .color_mode(kinds.BigValueColorMode.VALUE)
        .thresholds(ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .text_mode(kinds.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .with_target(Ready(InfluxQuery(line.query, line.alias)))
    )


def buckets(title: str, unit: str, line: Line, text: str, *, width: int = 12) -> heatmap.Panel:
    """A heatmap of counts: each column is a bucket, called by its upper edge in ``unit``."""
    return (
        heatmap.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .height(_TALL)
        .span(width)
        .interval(SECOND)
        .calculate(False)
        .scale_distribution(common.ScaleDistributionConfig().type(kinds.ScaleDistribution.LINEAR))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(kinds.HeatmapCellLayout.LE).value("Requests"))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(kinds.AxisPlacement.LEFT))
        .cell_values(heatmap.CellValues().unit(units.Short))
        .filter_values(heatmap.FilterValueRange().le(0.5))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmaps.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .scale(heatmaps.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .show_legend()
        .show_tooltip()
        .with_target(Ready(InfluxQuery(line.query, line.alias)))
    )


def rows(
    title: str,
    query: str,
    text: str,
    *,
    width: int = 24,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
) -> table.Panel:
    """The points of ``query`` as a table; ``fields`` are properties of columns, such as their unit. That of
    times is found by its type: Grafana's versions call it differently."""
    panel = (
        table.Panel()
        .title(title)
        .description(text)
        .datasource(SOURCE)
        .height(_LOW)
        .span(width)
        .show_header(True)
        .cell_height(kinds.TableCellHeight.SM)
        .override_by_field_type("time", [dashboard.DynamicConfigValue("custom.width", 170)])
        .with_target(Ready(InfluxQuery(query, result_format="table")))
    )
    for name, properties in (fields or {}).items():
        values = [dashboard.DynamicConfigValue(key, value) for key, value in properties.items()]
        panel = panel.override_by_name(name, values)
    return panel
