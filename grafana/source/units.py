"""Grafana's name for the unit of a field."""

from __future__ import annotations

from grafana_foundation_sdk.models import units

from triton_users.metrics import BY_NAME, STATISTICS, figure_name
from triton_users.sinks.points_schema import BUCKETS, HISTOGRAMS

_NAMES = {
    "1": units.Short,
    "ns": units.Nanoseconds,
    "1/s": units.CountsPerSecond,
    "us": units.Microseconds,
    "B": units.BytesIEC,
    "B/s": units.BytesPerSecondSI,
    "W": units.Watt,
    "J": units.Joule,
    "Hz": units.Hertz,
    "°C": units.Celsius,
}
_COUNTS = {figure_name(histogram, "count") for histogram in HISTOGRAMS} | {name for _, name in BUCKETS}
_OF_REQUESTS = {"request_rate", "achieved_request_rate", "goodput_rate"}
_TIMES = {figure_name(histogram, name) for histogram in HISTOGRAMS for name in STATISTICS} - _COUNTS


def unit_of(field: str) -> str:
    """Raises KeyError for a name that is no metric, and no figure of one."""
    if field in _TIMES:
        return units.Nanoseconds
    if field in _COUNTS:
        return units.Short
    metric = BY_NAME[field]
    if metric.unit == "1" and field.endswith(("_ratio", "_utilization")):
        return units.PercentUnit
    if field in _OF_REQUESTS:
        return units.RequestsPerSecond
    return _NAMES[metric.unit]
