"""latency.hlog is read back by the hdrhistogram package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tests.unit.test_report_example import SMALL, ZERO_NS, example_run, flow_of
from triton_users.report.hlog import tag, write_hlog
from triton_users.report.outcome import RunOutcome
from triton_users.sinks.folder import ResultsError
from triton_users.stats.interchange import from_hdrh
from triton_users.stats.window import LATENCY
from triton_users.step import Step

FLOW = flow_of(SMALL, users=1)


def test_tags_hold_neither_commas_nor_spaces() -> None:
    step = Step(0, "batch 8, 30.9/s poisson", (FLOW,), 0, None)
    assert tag(step, FLOW.name, SMALL) == "batch_8_30.9/s_poisson/espcn_b1_[1x224x224]"


def test_flows_with_one_class_have_tags_of_their_own(tmp_path: Path) -> None:
    """Readers merge what has one tag."""
    run = example_run()
    first = run.steps[0].result
    other = replace(FLOW, name="Other, user")
    [((_, cls), series)] = first.totals.items()
    two = replace(
        first,
        step=replace(first.step, flows=(FLOW, other)),
        totals={(FLOW.name, cls): series, (other.name, cls): series},
    )
    path = tmp_path / "latency.hlog"
    write_hlog(replace(run, steps=(replace(run.steps[0], result=two),)), path)
    tags = [line.split(",")[0] for line in path.read_text().splitlines() if line.startswith("Tag=")]
    assert tags == [
        f"Tag=batch_1_concurrency_1/{flow}/espcn_b1_[1x224x224]" for flow in (FLOW.name, "Other_user")
    ]


def test_the_package_reads_every_interval_back(tmp_path: Path) -> None:
    run: RunOutcome = example_run()
    path = tmp_path / "latency.hlog"
    write_hlog(run, path)
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000_000, 3))
    found = []
    while (theirs := reader.get_next_interval_histogram()) is not None:
        found.append(theirs)
    reader.close()
    expected = [
        (tag(step.result.step, flow, cls), step.result.trials[0], series.hists[LATENCY])
        for step in run.steps
        for (flow, cls), series in step.result.totals.items()
    ]
    assert len(found) == len(expected) == 6
    for theirs, (name, trial, hist) in zip(found, expected, strict=True):
        assert theirs.get_tag() == name
        ours = from_hdrh(theirs)
        assert ours.index.tolist() == hist.index.tolist()
        assert ours.count.tolist() == hist.count.tolist()
        assert theirs.get_start_time_stamp() == pytest.approx((ZERO_NS + trial.start_ns) / 1e6)
        assert theirs.get_end_time_stamp() == pytest.approx((ZERO_NS + trial.end_ns) / 1e6)


def test_a_folder_that_is_gone_gives_advice(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot write"):
        write_hlog(example_run(), tmp_path / "none" / "latency.hlog")
