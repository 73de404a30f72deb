"""The lines of windows.jsonl: one merged second of a step as a dict for JSON, and back.

Arrays stay arrays until the spool writes them (orjson can), and those who read a line here get them back.
Python's integers have no bound and JSON's readers do: a sum beyond 2^53 is written as a string of digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from triton_users.stats.histogram import merge, narrow_counts, percentile
from triton_users.stats.merge import COUNTERS
from triton_users.stats.window import SEND_LAG, Hist, Key, Series, Window
from triton_users.step import RequestClass

Line = dict[str, Any]

OF_WORKER = ("scheduled", "sent", "ok", "late", "dropped")
"""A worker's own sums in a second: which share of the load it has carried."""

_SAFE = 2**53


def _number(value: int) -> int | str:
    return value if value <= _SAFE else str(value)


def hist_to_json(hist: Hist) -> Line:
    """Every field of the histogram by its name."""
    return {
        "index": hist.index,
        "count": hist.count,
        "total": hist.total,
        "sum": _number(hist.sum),
        "sum_squares": _number(hist.sum_squares),
        "min": hist.min,
        "max": hist.max,
        "clamped": hist.clamped,
    }


def hist_from_json(found: Mapping[str, Any]) -> Hist:
    return Hist(
        np.asarray(found["index"], np.uint16),
        narrow_counts(np.asarray(found["count"], np.uint64)),
        found["total"],
        int(found["sum"]),
        int(found["sum_squares"]),
        found["min"],
        found["max"],
        found["clamped"],
    )


def class_to_json(cls: RequestClass) -> Line:
    return {
        "model": cls.model,
        "batch_size": cls.batch_size,
        "input_shapes": {name: list(dims) for name, dims in cls.input_shapes},
    }


def class_from_json(found: Mapping[str, Any]) -> RequestClass:
    """A line's class read back."""
    shapes = tuple((name, tuple(dims)) for name, dims in found["input_shapes"].items())
    return RequestClass(found["model"], found["batch_size"], shapes)


def series_to_json(key: Key, series: Series) -> Line:
    """The key and the counters side by side; ``failed`` by status, ``hists`` by name."""
    return {
        "flow": key.flow,
        "class": class_to_json(key.cls),
        "trial": key.trial,
        **{name: getattr(series, name) for name in COUNTERS},
        "failed": dict(series.failed),
        "hists": {name: hist_to_json(hist) for name, hist in series.hists.items()},
    }


def series_from_json(found: Mapping[str, Any]) -> tuple[Key, Series]:
    """Raises KeyError where a field is missing."""
    key = Key(found["flow"], class_from_json(found["class"]), found["trial"])
    hists = {name: hist_from_json(hist) for name, hist in found["hists"].items()}
    counters = {name: found[name] for name in COUNTERS}
    return key, Series(**counters, failed=dict(found["failed"]), hists=hists)


def line_series(line: Mapping[str, Any]) -> dict[Key, Series]:
    """The series of a line that was read back."""
    return dict(series_from_json(found) for found in line["series"])


def line_hist(line: Mapping[str, Any], name: str) -> Hist:
    """The histogram of this name over all series of a line: a third of the work of ``line_series``."""
    return merge(hist_from_json(one["hists"][name]) for one in line["series"] if name in one["hists"])


def generator_to_json(window: Window) -> Line:
    """A window without its series: who measured it, how the generator fared, and its sums of them."""
    parts = window.series.values()
    lag = merge(part.hists[SEND_LAG] for part in parts if SEND_LAG in part.hists)
    return {
        "worker": window.worker,
        "seq": window.seq,
        "start_ns": window.start_ns,
        "end_ns": window.end_ns,
        "in_flight_start": window.in_flight_start,
        "in_flight_end": window.in_flight_end,
        "users": window.users,
        "cpu_ratio": window.generator.cpu_ratio,
        "loop_stall_max_ns": window.generator.loop_stall_max_ns,
        "loop_stalls": window.generator.loop_stalls,
        "gc_collections": window.generator.gc_collections,
        **{name: sum(getattr(part, name) for part in parts) for name in OF_WORKER},
        "failed": sum(sum(part.failed.values()) for part in parts),
        "send_lag_p99_ns": percentile(lag, 99) if lag.total else None,
    }


def line_of(
    place: tuple[int, int],
    revision: int,
    series: Mapping[Key, Series],
    generators: Iterable[Line],
    messages: Iterable[tuple[str, str, int]],
) -> Line:
    """One second of all workers. ``place`` is (step, second): with it a later revision replaces this line.

    ``in_flight`` and ``users`` are the workers' last of the second, added up.
    """
    listed = sorted(generators, key=lambda one: (one["worker"], one["seq"]))
    last = {one["worker"]: one for one in listed}
    return {
        "kind": "window",
        "step": place[0],
        "second": place[1],
        "revision": revision,
        "start_ns": min(one["start_ns"] for one in listed),
        "end_ns": max(one["end_ns"] for one in listed),
        "in_flight": sum(one["in_flight_end"] for one in last.values()),
        "users": sum(one["users"] for one in last.values()),
        "series": [series_to_json(key, series[key]) for key in sorted(series, key=_order)],
        "generators": listed,
        "messages": [list(message) for message in messages],
    }


def _order(key: Key) -> tuple[str, RequestClass, int]:
    return key.flow, key.cls, key.trial
