"""Whole runs with a database: the same numbers in both, outages that cost nothing, a full disk told."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from tests.influx import Influx
from tests.real.cluster import QUICK, Cluster, killed
from tests.real.locust_process import ROOT, LocustProcess, finish
from tests.real.replay import replay
from triton_users.clock import wall_ns
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.feed import TIMEOUT_S
from triton_users.units import NS_PER_S

Action = Callable[[], None]
RATE = 200
OPEN = ("-m", "identity_16", "--request-rate-range", str(RATE), "--request-distribution", "constant")
STEP_FIELDS = (
    *("scheduled", "sent", "ok", "failed", "dropped", "lost", "late", "inferences", "duration_ns", "trials"),
    *("achieved_request_rate", "inference_rate", "request_rate"),
)


@pytest.fixture
def any_model(triton: EmbeddedTriton, tmp_path: Path) -> Callable[..., LocustProcess]:
    """Starts locustfiles/any.py on the shared server."""
    return lambda *arguments, **more: LocustProcess(tmp_path / "run", "-H", triton.url, *arguments, **more)


def written_once(influx: Influx, run: LocustProcess) -> None:
    """Every second of the spool is in the database, once, and nothing else: in sum and one by one."""
    lines = run.lines
    assert influx.value('SELECT count("users") FROM "load"') == len(lines) > 0
    assert influx.value("SELECT count(windows) FROM worker") == sum(
        len({generator["worker"] for generator in line["generators"]}) for line in lines
    )
    for name in ("scheduled", "sent", "ok", "dropped", "late", "completed", "inferences"):
        expected = sum(series[name] for line in lines for series in line["series"])
        assert influx.value(f'SELECT sum("{name}") FROM window') == expected, name


def same_as_summary(influx: Influx, run: LocustProcess) -> None:
    """A step's counts to the unit, from its point and from its seconds; its percentiles exactly."""
    found = influx.rows("SELECT * FROM step WHERE part = 'class'")
    assert len(found) == len(run.rows)
    for row, point in zip(run.rows, sorted(found, key=lambda point: point["step"]), strict=True):
        assert point["step_name"] == row["name"]
        for name in STEP_FIELDS:
            assert point[name] == row[name], name
        for name in ("p50", "p99", "max", "mean"):
            assert point[f"latency_{name}_ns"] == row["latency_ns"][name]
        assert point["queue_ns"] == row["server"]["queue_ns"]
        where = f"phase = 'measured' AND step = '{point['step']}'"
        for name in ("scheduled", "sent", "ok", "inferences"):
            assert influx.value(f'SELECT sum("{name}") FROM window WHERE {where}') == row[name], name
        offered, lag = row["scheduled"], row["send_lag_ns"] and row["send_lag_ns"]["max"]
        if row["mode"] == "closed":
            offered = None
            assert (
                influx.value(f"SELECT max(send_lag_p99_ns) FROM worker WHERE step = '{point['step']}'")
                is None
            )
        assert influx.value(f"SELECT sum(offered) FROM window WHERE {where}") == offered
        assert influx.value(f"SELECT max(send_lag_max_ns) FROM window WHERE {where}") == lag
        assert influx.value(f"SELECT sum(good) FROM window WHERE {where}") is None, "without a latency budget"
        assert influx.value(f"SELECT sum(latency_le_100000ms) FROM window WHERE {where}") == row["ok"]
        assert (
            influx.value(f"SELECT max(latency_max_ns) FROM window WHERE {where}") == row["latency_ns"]["max"]
        )


def steady(run: LocustProcess) -> None:
    """The load was what it should be, on time, whatever became of the database. A busy machine takes 40 ms
    away now and then; whoever waits for a database misses half a second and more."""
    (row,) = run.rows
    assert row["scheduled"] == row["ok"] + row["failed"] + row["dropped"] + row["lost"]
    assert row["ok"] == row["scheduled"] == RATE * row["duration_ns"] // 10**9
    assert row["late"] <= row["scheduled"] / 4, row["late"]
    assert row["send_lag_ns"]["p99"] < 250_000_000, row["send_lag_ns"]


def undisturbed(run: LocustProcess, since_ns: int, until_ns: int) -> None:
    """The whole seconds of an outage (wall clock) are as those before it, but for what the machine itself
    does: it takes 40 ms away now and then, on a bad day an eighth of each second. Whoever waits for the
    database misses half a second and more."""
    zero = json.loads((run.folder / "run.json").read_text())["zero_wall_ns"]
    before: list[Counter[str]] = []
    during: list[Counter[str]] = []
    for line in run.lines:
        start, end = zero + line["start_ns"], zero + line["end_ns"]
        if end - start < NS_PER_S * 0.9 or not (end <= since_ns or since_ns <= start < end <= until_ns):
            continue
        (generator,) = line["generators"]
        second = Counter({name: generator[name] for name in ("sent", "late", "send_lag_p99_ns")})
        (before if end <= since_ns else during).append(second)
    assert len(before) >= 2 and len(during) >= 3, (before, during)
    usual = {name: median(second[name] for second in before) for name in ("late", "send_lag_p99_ns")}
    assert mean(second["sent"] for second in during) == pytest.approx(RATE, rel=0.05), during
    assert median(second["late"] for second in during) <= usual["late"] + RATE / 4, (usual, during)
    lag = median(second["send_lag_p99_ns"] for second in during)
    assert lag <= 2 * usual["send_lag_p99_ns"] + 100_000_000, (usual, during)


def test_the_database_has_what_the_summary_has(
    any_model: Callable[..., LocustProcess], guarded_influx: Influx, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(guarded_influx.token)
    target = guarded_influx.target(token_file=str(token)).arguments()
    plan = ("-m", "identity_16", "--concurrency-range", "2", "--request-rate-range", "100", "-b", "1")
    with any_model(*plan, "--warm-up", "1s", "-p", "2s", *target) as run:
        finish(run)
    assert "InfluxDB: all is written" in run.output
    same_as_summary(guarded_influx, run)
    written_once(guarded_influx, run)
    events = [row["event"] for row in guarded_influx.rows("SELECT title, event FROM events")]
    assert {"run_start", "run_end", "step_start", "step_end", "worker_joined"} <= set(events)
    assert events.count("step_start") == events.count("step_end") == len(run.rows)
    before = guarded_influx.everything()
    replay(run.folder, *target)
    assert guarded_influx.everything() == before
    secret = guarded_influx.token.split(":")[1]
    for path in [run.out, *run.folder.iterdir()]:
        assert secret not in path.read_text(errors="replace"), path


NO_MORE_INPUTS = """
import itertools
import numpy as np
from triton_users import TritonUser
calls = itertools.count()
class Mine(TritonUser):
    model = "identity_16"
    def inputs(rng, batch):
        if next(calls) > 9:
            raise RuntimeError("no more inputs")
        return {"INPUT0": np.zeros((batch, 16), np.float32)}
"""
"""The master looks at one of them; the worker, which needs more, cannot take part."""


def test_a_refused_run_leaves_nothing_in_the_database(
    triton: EmbeddedTriton, influx: Influx, tmp_path: Path
) -> None:
    with LocustProcess(
        tmp_path / "run", "-H", triton.url, *influx.arguments, locustfile=NO_MORE_INPUTS
    ) as run:
        assert run.wait() == 2, run.output
        run.gone()
    assert "the run cannot start" in run.output and "no more inputs" in run.output
    assert not list(run.results.glob("*"))
    assert influx.everything() == []


def test_a_refusal_waits_for_no_database(triton: EmbeddedTriton, tmp_path: Path) -> None:
    target = ("--influx-url", "http://127.0.0.1:9", "--influx-bucket", "load")
    with LocustProcess(tmp_path / "run", "-H", triton.url, *target, locustfile=NO_MORE_INPUTS) as run:
        run.until(lambda: bool(list(run.results.glob("*"))), "a results folder")
        begun = time.monotonic()
        assert run.wait() == 2, run.output
        assert time.monotonic() - begun < 10, run.output
    assert "the run cannot start" in run.output
    assert "InfluxDB" not in run.output, "there is nothing to replay"


Span = tuple[int, int]
"""From and until, on the wall clock in ns."""


def outage(run: LocustProcess, after_s: float, for_s: float, stop: Action, start: Action) -> Span:
    """Stops the database when the load has begun, and starts it again; when it was away."""
    run.says("measuring")
    time.sleep(after_s)
    since = wall_ns()
    stop()
    time.sleep(for_s)
    until = wall_ns()
    start()
    return since, until


@pytest.mark.parametrize(("length_s", "away_s"), [(12, 5), pytest.param(60, 20, marks=pytest.mark.slow)])
def test_a_database_that_is_killed_and_started_again_has_it_all(
    any_model: Callable[..., LocustProcess], influx: Influx, length_s: int, away_s: int
) -> None:
    with any_model(*OPEN, "--warm-up", "1s", "-p", f"{length_s}s", *influx.arguments) as run:
        away = outage(run, length_s / 6, away_s, influx.kill, influx.start)
        finish(run)
    steady(run)
    undisturbed(run, *away)
    assert re.search(
        r"InfluxDB: nothing written since \d\d:\d\d:\d\d UTC: no connection; \d+ lines wait", run.output
    )
    assert "InfluxDB: written again after" in run.output
    assert "InfluxDB: all is written" in run.output
    written_once(influx, run)
    same_as_summary(influx, run)


@pytest.mark.parametrize(("length_s", "away_s"), [(12, 5), pytest.param(60, 20, marks=pytest.mark.slow)])
def test_a_database_that_is_frozen_and_thawed_has_it_all(
    any_model: Callable[..., LocustProcess], influx: Influx, length_s: int, away_s: int
) -> None:
    """It takes connections and does not answer: the feed waits for it, and for nobody else does it matter."""
    with any_model(*OPEN, "--warm-up", "1s", "-p", f"{length_s}s", *influx.arguments) as run:
        away = outage(run, length_s / 6, away_s, influx.freeze, influx.thaw)
        finish(run)
    steady(run)
    undisturbed(run, *away)
    assert ("no answer in time" in run.output) == (away_s > TIMEOUT_S)
    assert "InfluxDB: all is written" in run.output
    written_once(influx, run)
    same_as_summary(influx, run)


def test_a_second_is_in_the_database_two_seconds_after_its_end(
    any_model: Callable[..., LocustProcess], influx: Influx
) -> None:
    seen: dict[int, float] = {}  # a second's start since the epoch, ns: its age when it was first the newest
    with any_model(*OPEN, "--warm-up", "1s", "-p", "8s", *influx.arguments) as run:
        run.says("measuring")
        while run.process.poll() is None:
            for row in influx.rows('SELECT last("users") FROM "load"'):
                seen.setdefault(row["time"], (wall_ns() - row["time"]) / NS_PER_S)
            time.sleep(0.05)
        finish(run)
    assert len(seen) >= 7
    assert max(seen.values()) < 1 + 2, seen


def test_a_wrong_token_costs_the_run_nothing_and_the_replay_is_told(
    any_model: Callable[..., LocustProcess], guarded_influx: Influx
) -> None:
    wrong = {"INFLUXDB_TOKEN": "admin:wr0ng-s3cret"}
    with any_model(*OPEN, "--warm-up", "1s", "-p", "4s", *guarded_influx.arguments, env=wrong) as run:
        finish(run)
    steady(run)
    assert "401, the token is wrong or missing" in run.output and "wr0ng" not in run.output
    (command,) = re.findall(r"^  python -m triton_users (replay .*)$", run.output, re.MULTILINE)
    subprocess.run(
        [sys.executable, "-m", "triton_users", *shlex.split(command)],
        check=True,
        cwd=run.cwd,
        capture_output=True,
        timeout=60,
        env=os.environ | {"INFLUXDB_TOKEN": guarded_influx.token},
    )
    written_once(guarded_influx, run)
    same_as_summary(guarded_influx, run)


def test_a_second_ctrl_c_waits_for_no_database(any_model: Callable[..., LocustProcess]) -> None:
    target = ("--influx-url", "http://127.0.0.1:9", "--influx-bucket", "load", "--influx-drain", "60s")
    with any_model(*OPEN, "--warm-up", "0", "-p", "60s", *target) as run:
        run.says("measuring")
        run.signal(signal.SIGINT)
        run.says("lines wait, up to 60 s (Ctrl-C: no longer)")
        begun = time.monotonic()
        run.signal(signal.SIGINT)
        finish(run)
        assert time.monotonic() - begun < 10
    assert "lines are not written: no connection. Write it later by" in run.output


ACKNOWLEDGED = """
from triton_users.run.worker import WorkerRun
take = WorkerRun.granted

def granted(self, grant):
    with open("acknowledged", "a") as file:
        file.writelines(f"{self._start.worker} {seq}\\n" for seq in grant.acks)
    take(self, grant)

WorkerRun.granted = granted
"""
"""Each worker notes which of its windows the master says it has on disk."""


def test_what_a_killed_master_has_acknowledged_is_in_the_database_after_a_replay(
    triton: EmbeddedTriton, influx: Influx, tmp_path: Path
) -> None:
    """The database is frozen meanwhile, so that nothing of the run is there before."""
    influx.freeze()
    noting = (ROOT / "locustfiles/any.py").read_text() + ACKNOWLEDGED
    plan = ("-H", triton.url, *OPEN, "-p", "60s", *QUICK, *influx.arguments)
    with Cluster(tmp_path, 2, *plan, locustfile=noting) as cluster:
        master, notes = cluster.master, [worker.cwd / "acknowledged" for worker in cluster.workers]
        cluster.measuring(3)
        master.until(lambda: all(len(note.read_text().split()) > 6 for note in notes), "windows on disk")
        killed(master)
        for worker in cluster.workers:
            assert worker.wait(20) == 4, cluster.said()
        master.gone()
    influx.thaw()
    replay(master.folder, *influx.arguments)
    told = [line.split() for note in notes for line in note.read_text().splitlines()]
    acknowledged = {(int(worker), int(seq)) for worker, seq in told}
    there = {(one["worker"], one["seq"]) for line in master.lines for one in line["generators"]}
    assert {worker for worker, _ in acknowledged} == {0, 1}
    assert acknowledged <= there, acknowledged - there
    written_once(influx, master)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB; skips, with the reason, where we may not mount one; under CI that is a failure."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = f"no small disk: {done.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """A file that leaves no room beside it."""
    filler = place / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return filler


def test_a_full_disk_ends_no_run_and_is_told(
    any_model: Callable[..., LocustProcess], influx: Influx, small_disk: Path
) -> None:
    plan = ("--warm-up", "1s", "-p", "4s", "--results", str(small_disk))
    with any_model(*OPEN, *plan, *influx.arguments) as run:
        run.says("measuring")
        filler = fill(small_disk)
        assert run.wait() == 4
    run.results = small_disk
    filler.unlink()
    steady(run)
    assert run.codes()["results_incomplete"] == 1
    (message,) = [r["message"] for r in run.summary["reasons"] if r["code"] == "results_incomplete"]
    assert re.match(r"\d+ of \d+ lines are missing in windows.jsonl", message) and message in run.output
    assert "The run goes on, and its next 1024 kB wait in memory" in run.output
    written: Any = influx.value('SELECT count("users") FROM "load"')
    assert (written or 0) == len(run.lines)


def test_a_disk_that_has_room_again_has_it_all(
    any_model: Callable[..., LocustProcess], influx: Influx, small_disk: Path
) -> None:
    plan = ("--warm-up", "1s", "-p", "6s", "--results", str(small_disk))
    with any_model(*OPEN, *plan, *influx.arguments) as run:
        run.says("measuring")
        filler = fill(small_disk)
        run.says("Cannot write")
        time.sleep(2)
        filler.unlink()
        assert run.wait() in (0, 4), run.output
    run.results = small_disk
    steady(run)
    assert run.codes()["results_incomplete"] == 0
    assert [line["second"] for line in run.lines] == sorted(line["second"] for line in run.lines)
    same_as_summary(influx, run)
    written_once(influx, run)
