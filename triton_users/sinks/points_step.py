"""A step's exact result, its rows of summary.json, as points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from triton_users.metrics import BY_NAME, figure_name
from triton_users.names import shapes_name
from triton_users.sinks.points import Value, point
from triton_users.sinks.points_schema import (
    OF_STEP,
    RATES,
    SERVER,
    STEP,
    STEP_COUNTERS,
    STEP_HISTOGRAMS,
    STEP_WORKER,
)

Row = Mapping[str, Any]
Tags = dict[str, str]
Fields = dict[str, Value | None]

_PLAIN = (*STEP, *RATES, "concurrency", *STEP_COUNTERS)


def step_points(line: Mapping[str, Any], tags: Tags, zero_wall_ns: int) -> Iterator[str | None]:
    """The points of a spool's line of kind "step"; ``tags`` are those of its run and step."""
    rows: Sequence[Row] = line["rows"]
    at = zero_wall_ns + int(line["start_ns"])
    for row in rows:
        if row["class"] is not None:
            yield _result(row, tags | {"part": "class"}, at)
    whole = rows[-1]
    yield _result(whole, tags | {"part": "whole"}, at)
    for generator in whole["generators"]:
        own = tags | {"worker": str(generator["worker"]), "host": generator["host"] or "unknown"}
        yield point("step_worker", own, {name: typed(name, generator[name]) for name in STEP_WORKER}, at)
    for row in rows:
        for name, figures in ((row["server"] or {}).get("composing") or {}).items():
            own = tags | {"model": row["model"], "composing": name}
            yield point("step_composing", own, _server(figures), at)


def _result(row: Row, tags: Tags, at: int) -> str | None:
    fields: Fields = {name: typed(name, row[name]) for name in _PLAIN}
    for histogram in STEP_HISTOGRAMS:
        if (figures := row[histogram]) is not None:
            fields |= {
                figure_name(histogram, name): typed(histogram, figures[name])
                for name in OF_STEP
                if name in figures
            }
    fields |= _server(row["server"])
    return point("step", tags | _class_tags(row), fields, at)


def _server(figures: Mapping[str, Any] | None) -> Fields:
    return {name: typed(name, figures.get(name)) for name in SERVER} if figures else {}


def _class_tags(row: Row) -> Tags:
    cls = row["class"]
    batch = shape = "all"
    if cls is not None:
        batch = str(cls["batch_size"])
        shape = shapes_name(tuple((name, tuple(dims)) for name, dims in cls["input_shapes"].items()))
    return {
        "flow": row["flow"] or "all",
        "model": row["model"] or "all",
        "batch": batch,
        "shape": shape or "unknown",
    }


def typed(name: str, value: Any) -> Value | None:
    """A value in the type that its metric always has."""
    if value is None:
        return None
    return round(value) if BY_NAME[name].whole else float(value)
