"""Locust's own CSV files and HTML report of a headless run have every request, to the unit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from tests.real.locust_process import LocustProcess, finish
from triton_users.server.embedded import EmbeddedTriton


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def report(path: Path) -> dict[str, Any]:
    """The data that an HTML report shows."""
    read, _ = json.JSONDecoder().raw_decode(path.read_text().rpartition("window.templateArgs = ")[2])
    assert isinstance(read, dict)
    return read


def test_csv_files_and_html_report_hold_every_request(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Those of the warm-up too. Locust writes its CSV files once a second, and the last request may come at
    any instant of it; here neither a server nor an agent has to be stopped, which would give it time."""
    load = ("-m", "failing", "--shape", "INPUT0:4", "--concurrency-range", "1")
    with LocustProcess(
        *(tmp_path, "-H", triton.url, *load, "--warm-up", "300ms", "-p", "700"),
        *("--no-agent", "--csv", "locust", "--html", "locust.html"),
    ) as run:
        finish(run, code=1)
    every = [series for line in run.lines for series in line["series"]]
    failed = sum(sum(series["failed"].values()) for series in every)
    requests = failed + sum(series["ok"] for series in every)
    assert requests > failed > 0

    *_, sums = table(tmp_path / "locust_stats.csv")
    assert (int(sums["Request Count"]), int(sums["Failure Count"])) == (requests, failed)
    assert sum(int(row["Occurrences"]) for row in table(tmp_path / "locust_failures.csv")) == failed
    *_, last = table(tmp_path / "locust_stats_history.csv")
    assert (int(last["Total Request Count"]), int(last["Total Failure Count"])) == (requests, failed)

    shown = report(tmp_path / "locust.html")
    *_, sums = shown["requests_statistics"]
    assert (sums["num_requests"], sums["num_failures"]) == (requests, failed)
    assert sum(row["occurrences"] for row in shown["failures_statistics"]) == failed
