"""Saved requests come back as they were, over several files and workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triton_users.sinks.folder import ResultsError
from triton_users.sinks.requests import RequestsWriter, read_requests
from triton_users.stats.request_log import RequestRows
from triton_users.step import RequestClass

SMALL, LARGE = RequestClass("espcn", 1), RequestClass("espcn", 8)
OWNERS = [("flow", SMALL), ("flow", LARGE)]


def rows(count: int, first: int = 0) -> RequestRows:
    number = np.arange(first, first + count, dtype=np.int64)
    return RequestRows(
        arrival_ns=10 * number,
        sent_ns=np.where(number % 5 == 4, 0, 10 * number + 1),
        done_ns=np.where(number % 5 == 4, 0, 10 * number + 7),
        status=np.where(number % 5 == 4, 101, 0).astype(np.uint8),
        tag=(number % 2).astype(np.uint16),
    )


def test_numpy_reads_the_columns(tmp_path: Path) -> None:
    RequestsWriter(tmp_path, 3).add(rows(10), OWNERS, np.arange(100, 110))
    with np.load(tmp_path / "requests-3.npz") as found:
        assert set(found) == {
            "index",
            "arrival_ns",
            "sent_ns",
            "done_ns",
            "status",
            "class",
            "classes",
            "flows",
        }
        assert found["index"].tolist() == list(range(100, 110))
        assert found["arrival_ns"].tolist() == list(range(0, 100, 10))
        assert found["sent_ns"].tolist()[3:6] == [31, -1, 51]
        assert found["done_ns"].tolist()[3:6] == [37, -1, 57]
        assert found["status"].tolist()[4] == 101
        assert [str(found["classes"][i]) for i in found["class"][:2]] == ["espcn b1", "espcn b8"]


def test_long_runs_continue_in_further_files(tmp_path: Path) -> None:
    writer = RequestsWriter(tmp_path, 0, rows_per_file=4)
    writer.add(rows(10), OWNERS)
    writer.add(rows(3, first=10), OWNERS)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["requests-0-2.npz", "requests-0-3.npz", "requests-0-4.npz", "requests-0.npz"]
    saved = read_requests(tmp_path)
    assert saved.arrival_ns.tolist() == list(range(0, 130, 10))
    assert set(saved.index.tolist()) == {-1}


def test_workers_that_number_their_classes_otherwise_agree_when_read(tmp_path: Path) -> None:
    RequestsWriter(tmp_path, 0).add(rows(4), OWNERS)
    RequestsWriter(tmp_path, 11).add(rows(4), OWNERS[::-1])
    saved = read_requests(tmp_path)
    assert len(saved) == 8
    assert saved.worker.tolist() == [0] * 4 + [11] * 4
    forward = ["espcn b1", "espcn b8"]
    assert [saved.classes[i] for i in saved.cls] == forward * 2 + forward[::-1] * 2
    assert saved.flows == ("flow", "flow")


def test_the_folder_is_made_where_it_is_needed(tmp_path: Path) -> None:
    """A worker may run on another host than the master, which made it there."""
    folder = tmp_path / "made" / "where-needed"
    RequestsWriter(folder, 2).add(rows(2), OWNERS)
    assert read_requests(folder).done_ns.tolist() == [7, 17]


def test_no_requests_make_no_file(tmp_path: Path) -> None:
    RequestsWriter(tmp_path, 0).add(rows(0), [])
    assert not list(tmp_path.iterdir())
    with pytest.raises(ResultsError, match="--save-requests"):
        read_requests(tmp_path)


def test_errors_say_which_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"cannot write .*requests-0\.npz"):
        RequestsWriter(tmp_path / "file", 0).add(rows(1), OWNERS)
    (tmp_path / "requests-0.npz").write_text("nothing of the kind")
    with pytest.raises(ResultsError, match=r"cannot read .*requests-0\.npz"):
        read_requests(tmp_path)
