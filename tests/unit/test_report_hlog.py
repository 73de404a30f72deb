"""latency.hlog is read back by the hdrhistogram package."""

from __future__ import annotations

from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from tests.unit.test_report_example import SMALL, ZERO_NS, example_run
from triton_users.report.hlog import tag, write_hlog
from triton_users.report.outcome import RunOutcome
from triton_users.sinks.folder import ResultsError
from triton_users.stats.interchange import from_hdrh
from triton_users.stats.window import LATENCY


def test_tags_hold_neither_commas_nor_spaces() -> None:
    assert tag("batch 8, 30.9/s poisson", SMALL) == "batch_8_30.9/s_poisson/espcn_b1_[1x224x224]"


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
        (tag(step.result.step.name, cls), step.result.trials[0], series.hists[LATENCY])
        for step in run.steps
        for (_, cls), series in step.result.totals.items()
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
