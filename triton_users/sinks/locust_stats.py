"""Locust's own statistics, fed from our merged seconds: its table, charts, CSV files and HTML report.

On the master (or in a local run) alone; workers report nothing to Locust. Every answered request is in it,
those of the warm-up too, complete to the unit: Locust's requests are ours ok + failed. Requests that were
never sent (dropped, lost) are none to Locust. Its percentiles count failures in, ours do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from locust.stats import StatsEntry, StatsError

from triton_users.clock import wall_ns
from triton_users.names import class_name
from triton_users.stats.histogram import BUCKETS, highest_at, lowest_at
from triton_users.stats.lines import Line, class_from_json, hist_from_json
from triton_users.stats.timeline import HISTORY_S
from triton_users.stats.window import FAILED_LATENCY, LATENCY, Hist
from triton_users.units import NS_PER_MS, NS_PER_S

METHOD = "gRPC"
"""What stands in Locust's column "Type"."""

Place = tuple[int, int]
Errors = Counter[tuple[str, str]]


@dataclass(slots=True)
class Row:
    """One class in one second. ``times``: requests by rounded milliseconds; ``failed``: by status."""

    ok: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    times: Counter[float] = field(default_factory=Counter)
    sum_ns: int = 0
    min_ns: int | None = None
    max_ns: int = 0

    def add(self, hist: Hist) -> None:
        if not hist.total:
            return
        self.times.update(_by_milliseconds(hist))
        self.sum_ns += hist.sum
        self.min_ns = hist.min if self.min_ns is None else min(self.min_ns, hist.min)
        self.max_ns = max(self.max_ns, hist.max)

    def since(self, before: Row) -> Row:
        """What has come to it since ``before``, an earlier revision of the same second."""
        return Row(
            ok=self.ok - before.ok,
            failed=self.failed - before.failed,
            times=self.times - before.times,
            sum_ns=self.sum_ns - before.sum_ns,
            min_ns=self.min_ns,
            max_ns=self.max_ns,
        )


class LocustStats:
    """Folds each merged second into ``environment.stats`` once; of a later revision, what is new in it."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._folded: dict[Place, tuple[dict[str, Row], Errors]] = {}
        self._wall_minus_run_ns: int | None = None
        _rounded()  # now, and not while load runs

    def add(self, line: Line) -> None:
        """Take one line of the timeline, on the process's own loop; some 0.3 ms."""
        if self._wall_minus_run_ns is None:
            self._wall_minus_run_ns = wall_ns() - line["end_ns"]
        at_s = (self._wall_minus_run_ns + line["end_ns"]) / NS_PER_S
        place = (line["step"], line["second"])
        rows, errors = _rows(line), _errors(line)
        known_rows, known_errors = self._folded.get(place, ({}, Counter()))
        new = {n: row.since(known_rows[n]) if n in known_rows else row for n, row in rows.items()}
        self._folded[place] = (rows, errors)
        self._forget(place[1])
        for name, row in new.items():
            if row.ok or row.failed:
                self._fold(name, row, at_s)
        for (name, text), count in _attributed(new, errors - known_errors).items():
            self._fail(name, text, count, at_s)

    def _forget(self, second: int) -> None:
        """The timeline writes no line for seconds as old as that."""
        for place in [place for place in self._folded if place[1] <= second - HISTORY_S]:
            del self._folded[place]

    def _fold(self, name: str, row: Row, at_s: float) -> None:
        stats = self._environment.stats  # asked for each time: Locust replaces its rows at each start
        failures = row.failed.total()
        carrier: Any = StatsEntry(stats, name, METHOD)
        carrier.num_requests = row.ok + failures
        carrier.num_failures = failures
        # Requests without a time of their own must not shift Locust's percentiles.
        carrier.num_none_requests = carrier.num_requests - row.times.total()
        carrier.response_times = row.times
        carrier.total_response_time = row.sum_ns / NS_PER_MS
        carrier.min_response_time = None if row.min_ns is None else row.min_ns / NS_PER_MS
        carrier.max_response_time = row.max_ns / NS_PER_MS
        carrier.num_reqs_per_sec = {int(at_s): carrier.num_requests}
        carrier.num_fail_per_sec = {int(at_s): failures} if failures else {}
        carrier.last_request_timestamp = at_s
        carrier.start_time = min(stats.total.start_time, at_s)
        stats.get(name, METHOD).extend(carrier)
        stats.total.extend(carrier)

    def _fail(self, name: str, text: str, count: int, at_s: float) -> None:
        errors = self._environment.stats.errors
        key = StatsError.create_key(METHOD, name, text)
        entry = errors.setdefault(key, StatsError(METHOD, name, text))
        entry.occurrences += count
        entry.first_seen = entry.first_seen or at_s
        entry.last_seen = at_s


def _rows(line: Line) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for series in line["series"]:
        row = rows.setdefault(class_name(class_from_json(series["class"])), Row())
        row.ok += series["ok"]
        row.failed.update(series["failed"])
        for name in (LATENCY, FAILED_LATENCY):
            if name in series["hists"]:
                row.add(hist_from_json(series["hists"][name]))
    return rows


def _errors(line: Line) -> Errors:
    found: Errors = Counter()
    for status, message, count in line["messages"]:
        found[status, message] += count
    return found


def _attributed(rows: Mapping[str, Row], errors: Errors) -> Counter[tuple[str, str]]:
    """Failures by (row, text), complete. A second's messages do not say which class they belong to: with
    several classes and several messages of one status, the status stands alone."""
    found: Counter[tuple[str, str]] = Counter()
    for name, row in rows.items():
        for status, count in row.failed.items():
            messages = {message: n for (of, message), n in errors.items() if of == status and message}
            alone = sum(status in other.failed for other in rows.values()) == 1
            if len(messages) == 1:
                found[name, f"{status}: {next(iter(messages))}"] += count
            elif alone and sum(messages.values()) == count:
                found.update({(name, f"{status}: {message}"): n for message, n in messages.items()})
            else:
                found[name, status] += count
    return found


def _by_milliseconds(hist: Hist) -> dict[float, int]:
    at = _rounded()[hist.index]  # ascending, as the index is
    first = np.flatnonzero(np.diff(at, prepend=-1.0))
    counts = np.add.reduceat(hist.count.astype(np.int64), first)
    return dict(zip(at[first].tolist(), counts.tolist(), strict=True))


@cache
def _rounded() -> npt.NDArray[np.float64]:
    """The middle of each histogram bucket in milliseconds with two significant digits, as Locust itself
    rounds what is long: few keys, for it copies them all every second."""
    middles = [(lowest_at(index) + highest_at(index)) / 2 / NS_PER_MS for index in range(BUCKETS)]
    return np.array([float(f"{middle:.2g}") for middle in middles])
