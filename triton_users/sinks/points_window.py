"""A merged second as points: its classes, its load, its workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from triton_users.metrics import EDGES_NS, PERCENTILES, figure_name
from triton_users.names import shapes_name
from triton_users.sinks.events import OPEN_LOOP
from triton_users.sinks.points import Value, point
from triton_users.sinks.points_schema import (
    BUCKETED,
    BUCKETS,
    CLOCK,
    COUNTERS,
    HISTOGRAMS,
    LOST_OF,
    OF_WORKER,
)
from triton_users.stats.histogram import bucket_index, percentile
from triton_users.stats.lines import Line, line_series
from triton_users.stats.merge import merge_series
from triton_users.stats.sequences import Sequences
from triton_users.stats.trials import NO_TRIAL
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, WARM_UP, Hist, Series
from triton_users.step import RequestClass
from triton_users.units import NS_PER_S

Tags = dict[str, str]
Fields = dict[str, Value | None]

_NAMES = {
    f"{histogram.removesuffix('_ns')}": {
        name: figure_name(histogram, name) for name in ("count", "sum", "min", "max", *PERCENTILES)
    }
    for histogram in HISTOGRAMS
}
_COUNTED = tuple(name for name in COUNTERS if name not in ("offered", "failed", "good"))
_EDGES = bucket_index(np.array(EDGES_NS))
_ADDED = ("loop_stalls", "gc_collections", *OF_WORKER)
_LARGEST = ("cpu_ratio", "loop_stall_max_ns", "send_lag_p99_ns")


def phase_name(trial: int) -> str:
    return {WARM_UP: "warm_up", NO_TRIAL: "drain"}.get(trial, "measured")


def class_tags(flow: str, cls: RequestClass) -> Tags:
    """The tags of a flow's class."""
    shape = shapes_name(cls.input_shapes) or "unknown"
    return {"flow": flow, "model": cls.model, "batch": str(cls.batch_size), "shape": shape}


def window_points(
    line: Line, tags: Tags, zero_wall_ns: int, seen: Sequences, *, budget: bool
) -> Iterator[str | None]:
    """The points of one line; ``tags`` are those of its run and step, ``seen`` the windows so far;
    ``budget``: whether the run has a latency budget, without which no answer is good or not."""
    at = zero_wall_ns + int(line["second"]) * NS_PER_S
    yield from _classes(line, tags, at, phase_name, budget=budget)
    workers = _by_worker(line["generators"])
    load: Fields = {
        "in_flight": line["in_flight"],
        "users": line["users"],
        "windows": sum(len(windows) for windows in workers.values()),
    }
    yield point("load", tags, load, at)
    for worker, windows in workers.items():
        for window in windows:
            seen.add(worker, window["seq"])
        fields = _worker(windows) | {"windows_missing": len(seen.missing(worker))}
        if line.get(OPEN_LOOP) == []:
            del fields["send_lag_p99_ns"]
        yield point("worker", tags | {"worker": str(worker)}, fields, at)


def lost_points(line: Line, tags: Tags, zero_wall_ns: int, *, budget: bool) -> Iterator[str | None]:
    """The points of a spool's line of kind "lost"; ``budget`` as in a second."""
    at = zero_wall_ns + int(line["at_ns"])
    yield from _classes(line, tags, at, lambda trial: LOST_OF[phase_name(trial)], budget=budget)


def _classes(
    line: Line, tags: Tags, at: int, phase_of: Callable[[int], str], *, budget: bool
) -> Iterator[str | None]:
    open_loop = line.get(OPEN_LOOP)
    merged: dict[tuple[str, RequestClass, str], list[Series]] = {}
    for key, series in line_series(line).items():
        merged.setdefault((key.flow, key.cls, phase_of(key.trial)), []).append(series)
    for (flow, cls, phase), parts in merged.items():
        series = parts[0] if len(parts) == 1 else merge_series(parts)
        own = tags | class_tags(flow, cls) | {"phase": phase}
        fields: Fields = {name: getattr(series, name) for name in _COUNTED}
        fields["failed"] = sum(series.failed.values())
        hists = dict(series.hists)
        if open_loop is None or flow in open_loop:
            fields["offered"] = series.scheduled
        else:
            hists.pop(SEND_LAG, None)
        if budget:
            fields["good"] = series.good
        if LATENCY in hists:  # a closed loop has no latency of its own: the two are equal
            hists.setdefault(SERVICE_LATENCY, hists[LATENCY])
        for name, hist in hists.items():
            fields |= _figures(name, hist)
        yield point("window", own, fields, at)
        for status, count in series.failed.items():
            yield point("failure", own | {"status": status}, {"failed": count}, at)


def _figures(name: str, hist: Hist) -> Fields:
    names = _NAMES[name]
    if not hist.total:
        return {}
    fields: Fields = {
        names["count"]: hist.total,
        names["sum"]: hist.sum,
        names["min"]: hist.min,
        names["max"]: hist.max,
    }
    fields |= {names[label]: percentile(hist, q) for label, q in PERCENTILES.items()}
    if f"{name}_ns" == BUCKETED:
        fields |= dict(zip((field for _, field in BUCKETS), up_to_edges(hist).tolist(), strict=True))
    return fields


def up_to_edges(hist: Hist) -> npt.NDArray[np.int64]:
    """How many values lie in the buckets up to that of each edge."""
    counts = np.concatenate(([0], np.cumsum(hist.count, dtype=np.int64)))
    found: npt.NDArray[np.int64] = counts[np.searchsorted(hist.index, _EDGES, side="right")]
    return found


def _by_worker(generators: list[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """A worker's windows of this second, oldest first: several where a step ended within it."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for window in sorted(generators, key=lambda one: int(one["seq"])):
        found.setdefault(int(window["worker"]), []).append(window)
    return found


def _worker(windows: list[Mapping[str, Any]]) -> Fields:
    last = windows[-1]
    fields: Fields = {"users": last["users"], "in_flight_end": last["in_flight_end"], "windows": len(windows)}
    fields |= {name: last.get(name) for name in CLOCK}
    for names, merge in ((_ADDED, sum), (_LARGEST, max)):
        for name in names:
            values = [window[name] for window in windows if window.get(name) is not None]
            fields[name] = merge(values) if values else None
    if fields["cpu_ratio"] is not None:
        fields["cpu_ratio"] = float(fields["cpu_ratio"])
    return fields
