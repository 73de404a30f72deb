"""The same load with everything that watches it and with nothing: what monitoring costs the load.

What counts is the send lag's p99 of a typical second. That of the whole run is shown, and says little on a
virtual machine that stands still for 20 ms now and then: two such instants in a run of nine seconds are most
of the hundredth of the requests that it is made of, with monitoring or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.peers.ours import Ours
from tests.influx import find_or_build, started
from triton_users.sinks.spool import read_spool
from triton_users.stats.histogram import percentile
from triton_users.stats.lines import line_hist
from triton_users.stats.window import SEND_LAG

LEAST_REQUESTS = 1_000
"""In a second whose p99 counts: the first and the last are cut short."""


def influxd() -> Path:
    """A real InfluxDB's program. Raises RuntimeError with the reason where there is none."""
    return find_or_build()


class Unmonitored(Ours):
    """Neither agent nor feed; the results folder is always written."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "ours_unmonitored"

    def command(self, case: Case, bench: Bench, results: Path) -> list[str]:
        return [*super().command(case, bench, results), "--no-agent"]

    def run(self, case: Case, bench: Bench) -> Measurement:
        return with_seconds(super().run(case, bench), bench)


class Monitored(Ours):
    """Agent and feed, the latter to an InfluxDB on this machine: what that one takes counts against us."""

    def __init__(self, binary: Path) -> None:
        super().__init__()
        self.name = "ours_monitored"
        self._binary = binary
        self._target: list[str] = []

    def command(self, case: Case, bench: Bench, results: Path) -> list[str]:
        return [*super().command(case, bench, results), *self._target]

    def run(self, case: Case, bench: Bench) -> Measurement:
        influx = started(self._binary, bench.folder / "influxdb")
        try:
            self._target = influx.arguments
            found = with_seconds(super().run(case, bench), bench)
            if not influx.value("SELECT sum(ok) FROM window"):
                raise PeerError("nothing reached InfluxDB")
            return found
        finally:
            influx.kill()


def with_seconds(found: Measurement, bench: Bench) -> Measurement:
    """With the send lag's p99 of a typical second of that run."""
    seconds = list(seconds_p99_ns(bench.folder / "results"))
    return replace(found, send_lag_p99_median_ns=median(seconds) if seconds else None)


def seconds_p99_ns(results: Path) -> Iterator[int]:
    """The send lag's p99 of every whole second of the one run below ``results``."""
    [spool] = results.glob("*/windows.jsonl")
    for line in read_spool(spool):
        if line["kind"] == "window":
            lag = line_hist(line, SEND_LAG)
            if lag.total >= LEAST_REQUESTS:
                yield percentile(lag, 99)
