"""The schema of the database: which measurement has which tags and fields. docs/influxdb-schema.md is made
from it (``python -m triton_users.sinks.points_schema``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from triton_users.metrics import BY_NAME, EDGES_NS, STATISTICS, bucket_name, figure_name, names_of

HISTOGRAMS = ("latency_ns", "service_latency_ns", "send_lag_ns", "failed_latency_ns")
OF_SECOND = tuple(name for name in STATISTICS if name not in ("mean", "stddev"))
OF_STEP = tuple(name for name in STATISTICS if name != "sum")
BUCKETED = "latency_ns"
BUCKETS = tuple((edge, bucket_name(BUCKETED, edge)) for edge in EDGES_NS)

PHASES = ("warm_up", "measured", "drain")
LOST_OF = {phase: f"{phase}_lost" for phase in PHASES}
"""The phase of what no second tells of a phase: a point of its own, which replaces no second's."""

RATES = ("request_rate", "achieved_request_rate", "inference_rate", "goodput_rate")
COUNTERS = tuple(name for name in names_of("class") if BY_NAME[name].kind == "counter")
AS_RATES = ("offered", "completed", "completed_inferences", "good")
"""Counters that only seconds have: a step tells them as rates."""
STEP_HISTOGRAMS = HISTOGRAMS[:3]
STEP_COUNTERS = tuple(name for name in COUNTERS if name not in AS_RATES)
SERVER = tuple(names_of("server"))
LOAD = ("in_flight", "users", "windows")
OF_WORKER = ("scheduled", "sent", "ok", "failed", "late", "dropped")
GENERATOR = tuple(names_of("generator"))
CLOCK = ("clock_offset_ns", "clock_uncertainty_ns")
WORKER = (*GENERATOR, "in_flight_end", "users", *CLOCK, *OF_WORKER)
STEP_WORKER = (*GENERATOR, *names_of("worker"), "late", "dropped")
STEP = tuple(names_of("step"))
SENSORS = (
    *names_of("sensor"),
    *(name for name in SERVER if name != "network_client_ns"),
    "clock_uncertainty_ns",
)

_RUN, _STEP, _CLASS = ("run",), ("step", "step_name"), ("flow", "model", "batch", "shape")


@dataclass(frozen=True, slots=True)
class Measurement:
    """``fields`` are names of metrics, or of figures and buckets made of them; ``own`` are those that are no
    metric, with their meaning. ``series`` says how many series a run makes."""

    name: str
    tags: Sequence[str]
    fields: Sequence[str]
    time: str
    series: str
    help: str
    own: Sequence[tuple[str, str]] = ()


def _figures(histograms: Iterable[str], statistics: Iterable[str]) -> tuple[str, ...]:
    listed = tuple(statistics)
    return tuple(figure_name(histogram, statistic) for histogram in histograms for statistic in listed)


MEASUREMENTS: tuple[Measurement, ...] = (
    Measurement(
        "window",
        (*_RUN, *_STEP, *_CLASS, "phase"),
        (*COUNTERS, *_figures(HISTOGRAMS, OF_SECOND), *(name for _, name in BUCKETS)),
        "start of the second",
        "steps × classes × 3 phases, twice where a worker is lost",
        "One second of all workers, by flow and class. `phase` is `warm_up`, `measured` or `drain` (answers "
        "that came after the end of the measurement). What no second tells (arrivals of workers that fell "
        "silent, or granted to nobody) is counted when the step ends: a point at that instant, whose phase "
        "ends in `_lost`. The counts of `measured` and `measured_lost` together are the step's. Percentiles "
        "are those of one second: aggregate them by max, and take those of a longer time from the buckets or "
        "from `step`.",
    ),
    Measurement(
        "failure",
        (*_RUN, *_STEP, *_CLASS, "phase", "status"),
        ("failed",),
        "start of the second",
        "as `window`, × the statuses that occur (at most 17)",
        "The failed requests of `window` by gRPC status.",
    ),
    Measurement(
        "load",
        (*_RUN, *_STEP),
        LOAD,
        "start of the second",
        "steps",
        "One second of all workers together: requests in flight and users when it ended, and the windows "
        "that it is made of.",
    ),
    Measurement(
        "worker",
        (*_RUN, *_STEP, "worker"),
        WORKER,
        "start of the second",
        "steps × workers",
        "One second of one worker. `windows_missing` counts those of the run that had not come by then.",
    ),
    Measurement(
        "step",
        (*_RUN, *_STEP, *_CLASS, "part"),
        (*STEP, *RATES, "concurrency", *STEP_COUNTERS, *_figures(STEP_HISTOGRAMS, OF_STEP), *SERVER),
        "start of the first measured trial (of the step, where there is none)",
        "steps × (classes + 1)",
        "A step's exact result, when it ends: a point for each flow and class (`part` = `class`) and one for "
        "the whole (`part` = `whole`), whose other tags are `all` where they differ. The server's figures "
        "are there where the model has no other class in the step.",
    ),
    Measurement(
        "step_composing",
        (*_RUN, *_STEP, "model", "composing"),
        SERVER,
        "as `step`",
        "steps × composing models",
        "The server's figures of the models that an ensemble (`model`) is composed of.",
    ),
    Measurement(
        "step_worker",
        (*_RUN, *_STEP, "worker", "host"),
        STEP_WORKER,
        "as `step`",
        "steps × workers",
        "How each worker fared in a step.",
    ),
    Measurement(
        "events",
        (*_RUN, "event", "severity"),
        (),
        "the instant (microseconds; the rest tells events of one instant apart)",
        "kinds of event (about ten)",
        "What happened: `run_start`, `run_end`, `step_start`, `step_end`, `worker_joined`, `worker_lost`, "
        "`server_restart`, `reason`. `severity` is `info`, `doubtful`, `invalid` or `error`.",
        (
            ("title", "What happened, in a few words"),
            ("text", "The sentence"),
            ("step_index", "Number of the step, from 0; absent for the run"),
            ("until_ms", "Of `step_end` and `run_end`: their start and end make a band; ms since the epoch"),
        ),
    ),
    Measurement(
        "sample",
        (*_RUN, "source", "host", "the sensor's labels"),
        SENSORS,
        "the instant of the sample",
        "sources × hosts × labels",
        "What the agents measure (docs/sensors.md). All fields are floats.",
    ),
)

BY_NAME_OF_MEASUREMENT = {measurement.name: measurement for measurement in MEASUREMENTS}

_INTRODUCTION = """\
# What is in InfluxDB

This page is made from `triton_users/sinks/points_schema.py` and `triton_users/metrics.py`.

All times are the wall time of the run's zero (`zero_wall_ns` in `run.json`) plus nanoseconds on the run's
axis. A point is known by its measurement, its tags and its time: writing it again, or a later revision of
the same second, changes no other point. Counts and `ns` are integers, rates and ratios floats.

Tags: `run` is the run's id; `step` its number (`00`, `01`, …) and `step_name` its name; `flow` the user
class; `model`, `batch` and `shape` the class of requests; `worker` a worker's number.

`latency_le_…` are cumulative: successful requests of the second that took no longer than the edge (to 0.1 %,
the histogram's precision). They add up over any time; those between two edges are the difference. All
requests are `latency_count`.

What does not exist is absent, not 0: `offered` and `send_lag_…` in closed loop, `good` without a latency
budget.

In InfluxQL put names in double quotes: `users` and `load`, for one, are words of its own.

Tested on real ones: InfluxDB 1.8.10 and 2.7.12 take the same points from feed and replay, refuse wrong
tokens, buckets and types alike, and answer every query of the dashboards. InfluxDB 3 should, by its
documents; untested.
"""


def document() -> str:
    """docs/influxdb-schema.md."""
    parts = [_INTRODUCTION]
    for one in MEASUREMENTS:
        parts.append(f"## `{one.name}`\n\n{one.help}\n")
        parts.append(
            f"- Tags: {', '.join(f'`{tag}`' if ' ' not in tag else tag for tag in one.tags)}\n"
            f"- Time: {one.time}\n- Series of a run: {one.series}\n"
        )
        rows = [*_rows(one), *((name, "", text) for name, text in one.own)]
        if rows:
            parts.append(
                "| Field | Unit | Meaning |\n| --- | --- | --- |\n" + "\n".join(map(_row, rows)) + "\n"
            )
    return "\n".join(parts)


def _rows(measurement: Measurement) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    buckets = {name for _, name in BUCKETS}
    for name in measurement.fields:
        if name in buckets:
            continue
        metric = BY_NAME.get(name)
        if metric is not None:
            rows.append((name, metric.unit, metric.help))
        else:
            histogram, statistic = _figure(name)
            rows.append((name, "1" if statistic == "count" else "ns", f"`{histogram}`: {statistic}"))
    if buckets & set(measurement.fields):
        ends = f"{BUCKETS[0][1]} … {BUCKETS[-1][1]}"
        rows.append((ends, "1", f"`{BUCKETED}`: requests up to an edge, {len(BUCKETS)} edges"))
    return rows


def _figure(name: str) -> tuple[str, str]:
    """Which histogram and statistic a field is."""
    for histogram in HISTOGRAMS:
        for statistic in STATISTICS:
            if figure_name(histogram, statistic) == name:
                return histogram, statistic
    raise KeyError(name)


def _row(cells: tuple[str, str, str]) -> str:
    name, unit, text = cells
    return f"| `{name}` | {unit} | {text} |"


if __name__ == "__main__":
    Path("docs/influxdb-schema.md").write_text(document(), encoding="utf-8")
