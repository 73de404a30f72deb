"""The feed and the replay against a real InfluxDB: what it refuses, what it forgets to answer, how soon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.feed_example import append, results_folder, window_of
from tests.influx import BUCKET, DATABASE, Influx, started
from tests.real.replay import refuses_another_type_alone, replay, writes_all_once
from triton_users.clock import now_ns, wall_ns
from triton_users.sinks.feed_child import GRACE_NS, FeedChild
from triton_users.sinks.feed_status import StatusFile
from triton_users.sinks.folder import ResultsFolder
from triton_users.sinks.influx_target import InfluxTarget
from triton_users.stats.timeline import Timeline
from triton_users.units import NS_PER_S


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return results_folder(tmp_path, zero_wall_ns=wall_ns() - 60 * NS_PER_S)


def test_a_replay_writes_all_once_and_again_changes_nothing(influx: Influx, folder: ResultsFolder) -> None:
    writes_all_once(influx, folder.path)
    summed = influx.value("SELECT sum(ok) FROM window WHERE phase = 'measured'")
    assert summed == influx.value("SELECT sum(latency_count) FROM window WHERE phase = 'measured'") > 0


def test_a_token_is_needed_and_never_shown(
    guarded_influx: Influx, folder: ResultsFolder, tmp_path: Path
) -> None:
    wrong = replay(folder.path, *guarded_influx.arguments, token="admin:wr0ng-s3cret", code=1)
    assert "401, the token is wrong or missing" in wrong and "Replay again" in wrong
    file = tmp_path / "token"
    file.write_text(guarded_influx.token + "\n")
    target = guarded_influx.target(token_file=str(file))
    replay(folder.path, *target.arguments(), token="ignored where there is a file")
    assert guarded_influx.value("SELECT count(ok) FROM window") > 0


def test_a_wrong_bucket_is_named(influx: Influx, folder: ResultsFolder) -> None:
    said = replay(folder.path, *influx.target("nowhere").arguments(), code=1)
    assert '404, database not found: "nowhere": there is no such database' in said


def test_a_field_of_another_type_is_refused_alone_named_and_kept(
    influx: Influx, folder: ResultsFolder
) -> None:
    refuses_another_type_alone(influx, folder.path)


def test_points_beyond_the_retention_are_refused_and_kept(influx: Influx, tmp_path: Path) -> None:
    old = results_folder(tmp_path, zero_wall_ns=wall_ns() - 50 * 3600 * NS_PER_S)
    influx.query(f"CREATE RETENTION POLICY short ON {DATABASE} DURATION 24h REPLICATION 1")
    said = replay(old.path, *influx.target(f"{DATABASE}/short").arguments(), code=1)
    assert "beyond retention policy" in said
    assert (old.path / "rejected.jsonl").read_text().count("\n") > 20


def test_requests_too_large_for_the_database_are_halved(
    influxd: Path, tmp_path: Path, folder: ResultsFolder
) -> None:
    narrow = started(influxd, tmp_path / "narrow", max_body=4_000)
    try:
        replay(folder.path, *narrow.arguments)
        assert narrow.value("SELECT count(ok) FROM window") > 0
    finally:
        narrow.kill()


@pytest.fixture
def following(influx: Influx, folder: ResultsFolder) -> Iterator[FeedChild]:
    child = FeedChild(folder, influx.target(drain_ns=20 * NS_PER_S))
    child.start()
    yield child
    list(child.finish(0))


def follows(folder: ResultsFolder) -> None:
    """Wait until the feed reads the spool: from then on SIGTERM ends it in order."""
    status, deadline = StatusFile(folder.path / "feed.status"), time.monotonic() + 20
    while (found := status.read()) is None or not found.started:
        assert time.monotonic() < deadline, (folder.path / "feed.log").read_text()
        time.sleep(0.02)


def lines_in(folder: ResultsFolder) -> int:
    return folder.windows.read_bytes().count(b"\n")


def written(folder: ResultsFolder, lines: int, within_s: float) -> float:
    """Wait until the feed has written so many lines; how long that took."""
    status, begun = StatusFile(folder.path / "feed.status"), time.monotonic()
    while (found := status.read()) is None or found.lines < lines:
        assert time.monotonic() - begun < within_s, (folder.path / "feed.log").read_text()
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_second_is_in_the_database_within_two(
    influx: Influx, folder: ResultsFolder, following: FeedChild
) -> None:
    before = lines_in(folder)
    written(folder, before, 20)
    (line,) = Timeline().add(window_of(0, 9))
    append(folder, line | {"name": "batch 1"})
    begun = time.monotonic()
    while not influx.value("SELECT count(ok) FROM window WHERE step_name = 'batch 1' AND time > now() - 55s"):
        assert time.monotonic() - begun < 2
        time.sleep(0.02)
    assert following.watch(before + 1) == []
    *_, said = following.finish(before + 1)
    assert said.startswith("InfluxDB: all is written")
    assert not list(folder.path.glob("feed.*"))


def test_not_all_is_written_where_points_were_refused_and_a_line_is_damaged(
    influx: Influx, folder: ResultsFolder
) -> None:
    at = json.loads(folder.run_json.read_text())["zero_wall_ns"]
    influx.write(f'load,run=other users="many" {at}')
    with folder.windows.open("a") as file:
        file.write("damaged\n")
    child = FeedChild(folder, influx.target())
    child.start()
    written(folder, lines_in(folder), 20)
    *_, given_up, last = child.finish(lines_in(folder))
    assert "refused for good: " in given_up and "1 lines of the spool cannot be read" in given_up
    assert str(folder.path / "rejected.jsonl") in given_up
    assert "points are written, all but" in last and "refused points and 1 unreadable lines" in last


def test_a_run_that_ends_while_the_feed_starts_is_written(influx: Influx, folder: ResultsFolder) -> None:
    child = FeedChild(folder, influx.target())
    child.start()
    *_, said = child.finish(lines_in(folder))
    assert said.startswith("InfluxDB: all is written")
    assert influx.value("SELECT count(ok) FROM window") > 0


def test_an_outage_is_told_and_made_up_for(
    influx: Influx, folder: ResultsFolder, following: FeedChild
) -> None:
    first = lines_in(folder)
    written(folder, first, 20)
    influx.kill()
    for second in range(10, 16):
        (line,) = Timeline().add(window_of(0, second))
        append(folder, line | {"name": "batch 1"})
    deadline, said = time.monotonic() + 20, list[str]()
    while not said:
        assert time.monotonic() < deadline
        said = following.watch(first + 6)
        time.sleep(0.05)
    assert len(said) == 1 and "nothing written since" in said[0] and "no connection; 6 lines wait" in said[0]
    influx.start()
    written(folder, first + 6, 20)
    *_, last = following.finish(first + 6)
    assert last.startswith("InfluxDB: all is written")
    live = influx.everything()
    replay(folder.path, *influx.arguments)
    assert influx.everything() == live


def test_a_frozen_database_is_waited_for_and_the_rest_left_to_a_replay(
    influx: Influx, folder: ResultsFolder
) -> None:
    influx.freeze()
    child = FeedChild(folder, InfluxTarget(influx.url, BUCKET, drain_ns=2 * NS_PER_S))
    child.start()
    follows(folder)
    begun = now_ns()
    waits, said = child.finish(lines_in(folder))
    assert now_ns() - begun < 10 * NS_PER_S
    assert waits == f"InfluxDB: {lines_in(folder)} lines wait, up to 2 s (Ctrl-C: no longer)"
    assert f"{lines_in(folder)} lines are not written: no answer in time" in said
    assert f"python -m triton_users replay {folder.path} --influx-url {influx.url}" in said
    influx.thaw()
    replay(folder.path, *influx.arguments)
    assert influx.value("SELECT count(ok) FROM window") > 0


def test_the_feed_dies_with_its_parent(influx: Influx, folder: ResultsFolder, tmp_path: Path) -> None:
    program = (
        "import os, sys, time; from pathlib import Path\n"
        "from triton_users.sinks.feed_child import FeedChild\n"
        "from triton_users.sinks.folder import ResultsFolder\n"
        "from triton_users.sinks.influx_target import InfluxTarget\n"
        f"child = FeedChild(ResultsFolder(Path({str(folder.path)!r})),"
        f" InfluxTarget({influx.url!r}, 'load'))\n"
        "child.start(); print(child._child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout as out:
        pid = int(out.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    deadline = time.monotonic() + 5
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_whoever_hurries_waits_no_longer(influx: Influx, folder: ResultsFolder) -> None:
    """The feed sits in a request that is not answered: it gets its grace, and no more."""
    influx.freeze()
    child = FeedChild(folder, influx.target(drain_ns=60 * NS_PER_S))
    child.start()
    child.hurry()  # nobody waits yet
    said = child.finish(lines_in(folder))
    assert "lines wait, up to 60 s" in next(said) and child.draining
    child.hurry()
    begun = now_ns()
    (last,) = said
    assert now_ns() - begun < GRACE_NS + 2 * NS_PER_S and not child.draining
    assert "lines are not written: stopped. Write it later by" in last


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_cannot_get_on_ends_when_asked(folder: ResultsFolder, number: signal.Signals) -> None:
    target = InfluxTarget("http://127.0.0.1:9", BUCKET, drain_ns=3600 * NS_PER_S)
    command = [sys.executable, "-m", "triton_users", "replay", str(folder.path), *target.arguments()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "InfluxDB: no connection; trying again\n"
        process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "and not the rest: no connection. Replay again to write it." in said
