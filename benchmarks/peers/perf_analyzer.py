"""Perf Analyzer, synchronous or asynchronous (-a): the bench runs both and counts the better one."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.payloads import input_of, write_perf_analyzer_data
from benchmarks.processes import Child
from benchmarks.window import observe
from triton_users.units import NS_PER_US

TRIALS = 3
"""Perf Analyzer wants three windows before it calls a result stable, so that is the shortest run."""
COLUMNS = {"mean_ns": "Avg latency", "p50_ns": "p50 latency", "p99_ns": "p99 latency"}
"""Our figure: the column of its CSV, in microseconds."""


def parse_csv(text: str) -> dict[str, float]:
    """Latencies in ns from the file of `-f FILE --verbose-csv` with one row; {} when it has none."""
    rows = list(csv.DictReader(text.strip().splitlines()))
    if len(rows) != 1:
        return {}
    return {ours: float(rows[0][theirs]) * NS_PER_US for ours, theirs in COLUMNS.items()}


class PerfAnalyzer:
    def __init__(self, binary: Path, libraries: Path, asynchronous: bool) -> None:
        self.name = "perf_analyzer_async" if asynchronous else "perf_analyzer_sync"
        self._mode = "--async" if asynchronous else "--sync"
        self._binary, self._libraries = binary, libraries

    def command(self, case: Case, bench: Bench, data: Path, report: Path) -> list[str]:
        """Time windows that together last as long as every peer's load; never stopped as unstable."""
        interval_ms = int(bench.timing.load_s * 1000 / TRIALS)
        return [
            str(self._binary),
            *("-m", case.model, "-i", "grpc", "-u", bench.server.address, "-b", "1", self._mode),
            *("--concurrency-range", str(case.in_flight), "--input-data", str(data)),
            *("--measurement-mode", "time_windows", "--measurement-interval", str(interval_ms)),
            *("--max-trials", str(TRIALS), "--stability-percentage", "999"),
            *("-f", str(report), "--verbose-csv"),
        ]

    def run(self, case: Case, bench: Bench) -> Measurement:
        data, report = bench.folder / "data.json", bench.folder / "report.csv"
        write_perf_analyzer_data(case, input_of(case, bench.server), data)
        environment = {"LD_LIBRARY_PATH": str(self._libraries)}
        before = bench.server.quiet(case.model)
        with Child(self.command(case, bench, data, report), bench.folder / "log", environment) as child:
            found = observe(bench.server, case.model, child, before, bench.timing)
            if not child.wait(bench.timing.end_s):
                # Its rate and CPU stand: they were taken in mid-run. Its latencies never came.
                return replace(found, notes=(f"{self.name} did not end, killed: no latencies",))
            if child.returncode != 0:
                raise PeerError(f"{self.name} ended with {child.returncode}: {child.last_lines}")
            latencies: dict[str, Any] = {**parse_csv(report.read_text())}
            return replace(found, **latencies)
