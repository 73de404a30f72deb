"""summary.csv has Perf Analyzer's columns, and more only where rows could not be told apart."""

from __future__ import annotations

import csv as reader
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.test_report_example import example_run
from triton_users.report import csv, summary
from triton_users.report.outcome import RunOutcome
from triton_users.sinks.folder import ResultsError

PERF_ANALYZER = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,"
    "Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency"
)


def rendered(run: RunOutcome) -> list[dict[str, str]]:
    return list(reader.DictReader(csv.render(summary.build(run)).splitlines()))


def test_one_batch_in_closed_loop_is_perf_analyzer_s_header() -> None:
    run = example_run()
    assert csv.render(summary.build(replace(run, steps=run.steps[:2]))).splitlines()[0] == PERF_ANALYZER


def test_one_rate_is_perf_analyzer_s_header_of_rates() -> None:
    run = example_run()
    header = csv.render(summary.build(replace(run, steps=run.steps[3:4]))).splitlines()[0]
    assert header == PERF_ANALYZER.replace("Concurrency", "Request Rate")


def test_the_parts_add_up_to_the_mean_in_microseconds() -> None:
    run = example_run()
    built = summary.build(run)
    for row, cells in zip(built["steps"][:4], rendered(run), strict=False):
        names = ("Client Send", "Client Recv", *csv.SERVER_COLUMNS)
        assert sum(int(cells[name]) for name in names) == pytest.approx(
            row["latency_ns"]["mean"] / 1000, abs=4
        )
        assert int(cells["p99 latency"]) == round(row["latency_ns"]["p99"] / 1000)


def test_batches_and_loads_have_columns_where_several_were_measured() -> None:
    rows = rendered(example_run())
    assert [row["Batch Size"] for row in rows] == ["1", "1", "8", "1", "1", "8", ""]
    assert [row["Concurrency"] for row in rows] == ["1", "64", "4", "", "", "", ""]
    assert [row["Request Rate"] for row in rows] == ["", "", "", "240", "25", "25", "25"]
    assert rows[2]["Inferences/Second"] == "147.2"
    assert "Input Shape" not in rows[0] and "Model" not in rows[0]
    assert rows[4]["Server Queue"] == ""


def test_without_the_server_s_statistics_its_columns_are_left_out() -> None:
    run = example_run()
    rows = rendered(replace(run, steps=[replace(step, server={}) for step in run.steps]))
    assert "Server Queue" not in rows[0] and "Client Send" in rows[0]


def test_a_run_without_steps_is_a_header(tmp_path: Path) -> None:
    path = tmp_path / "summary.csv"
    csv.write(summary.build(replace(example_run(), steps=())), path)
    assert path.read_text().startswith("Concurrency,Inferences/Second,")
    with pytest.raises(ResultsError, match="cannot write"):
        csv.write({"steps": []}, tmp_path / "none" / "summary.csv")
