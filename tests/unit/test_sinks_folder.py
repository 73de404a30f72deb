"""The results folder: there at once, whole, and with advice where it cannot be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from triton_users.sinks.atomic import write_json, write_text
from triton_users.sinks.folder import ResultsError, ResultsFolder, RunRecord, folder_name, versions

ZERO_NS = 1_700_000_000_123_000_000

RECORD = RunRecord(
    id="4f2a",
    seed=7,
    zero_wall_ns=ZERO_NS,
    command=["locust", "-f", "sr.py", "--token", "s3cret"],
    options={"seed": 7, "token": "s3cret"},
    versions=versions(),
    hosts=["box"],
)


def test_folder_holds_the_run_from_its_first_moment(tmp_path: Path) -> None:
    folder = ResultsFolder.create(tmp_path / "deep" / "results", "locustfiles/sr.py", RECORD)
    assert folder.path.name == "20231114T221320Z-sr-4f2a"
    text = folder.run_json.read_text()
    assert "s3cret" not in text
    run = json.loads(text)
    assert run["started_at"] == "2023-11-14T22:13:20.123Z"
    assert (run["id"], run["seed"], run["zero_wall_ns"], run["hosts"]) == ("4f2a", 7, ZERO_NS, ["box"])
    assert set(run["versions"]) >= {"python", "locust", "tritonclient", "triton-users"}
    assert [path.name for path in folder.path.iterdir()] == ["run.json"]


def test_update_merges_and_redacts(tmp_path: Path) -> None:
    folder = ResultsFolder.create(tmp_path, "sr.py", RECORD)
    folder.update({"versions": {"triton": "2.60.0"}, "ended_at": "later", "server": {"url": "grpc://a:b@h"}})
    run = json.loads(folder.run_json.read_text())
    assert run["versions"]["triton"] == "2.60.0"
    assert run["versions"]["python"] == versions()["python"]
    assert run["server"] == {"url": "grpc://***@h"}


def test_the_same_run_is_never_written_twice(tmp_path: Path) -> None:
    ResultsFolder.create(tmp_path, "sr.py", RECORD)
    with pytest.raises(ResultsError, match="file exists"):
        ResultsFolder.create(tmp_path, "sr.py", RECORD)
    ResultsFolder.create(tmp_path, "sr.py", replace(RECORD, id="other"))


def test_a_file_in_the_way_gives_advice(tmp_path: Path) -> None:
    blocked = tmp_path / "results"
    blocked.write_text("")
    with pytest.raises(ResultsError, match=r"cannot write results to .*results.*--results DIR"):
        ResultsFolder.create(blocked, "sr.py", RECORD)


def test_no_folder_is_left_when_run_json_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("triton_users.sinks.folder.write_json", full)
    with pytest.raises(ResultsError, match="no space left"):
        ResultsFolder.create(tmp_path, "sr.py", RECORD)
    assert not list(tmp_path.iterdir())


def test_paths_lie_in_the_folder_under_their_contract_names(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    paths = (folder.run_json, folder.windows, folder.summary_json, folder.summary_csv, folder.latency_hlog)
    names = [path.name for path in (*paths, folder.server_log, folder.summary_svg)]
    assert names == [
        "run.json",
        "windows.jsonl",
        "summary.json",
        "summary.csv",
        "latency.hlog",
        "server.log",
        "summary.svg",
    ]


def test_folder_is_shown_as_one_would_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(ResultsFolder(Path("results/x"))) == "results/x/"
    assert str(ResultsFolder(tmp_path / "results" / "x")) == "results/x/"
    assert str(ResultsFolder(Path("/elsewhere/x"))) == "/elsewhere/x/"


@pytest.mark.parametrize("name", ["my load (1).py", "-", "../../x/ü.py", "a b\n.py"])
def test_folder_name_is_a_plain_file_name(name: str) -> None:
    assert re.fullmatch(r"20231114T221320Z-[\w.-]+-id", folder_name(ZERO_NS, name, "id"))


def test_atomic_writing_leaves_the_old_file_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": float("nan"), "y": [float("inf"), 1]})
    assert json.loads(path.read_text()) == {"x": None, "y": [None, 1]}
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert json.loads(path.read_text()) == {"x": None, "y": [None, 1]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
