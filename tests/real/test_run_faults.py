"""The server fails while load runs: the run goes on, the ledger closes, the summary says what happened."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.real.locust_process import LocustProcess, finish
from triton_users.clock import wall_ns
from triton_users.server.embedded import EmbeddedTriton
from triton_users.units import NS_PER_S

RATE = ("-m", "identity_16", "--request-rate-range", "100", "--warm-up", "0")
IDENTITY = ("-m", "identity", "--shape", "INPUT0:16", "--warm-up", "0")


def measuring(run: LocustProcess, seconds: int = 1) -> None:
    """Wait until so many seconds of load stand in the results."""
    run.until(
        lambda: any(f.read_text().count('"series"') > seconds for f in run.results.glob("*/windows.jsonl")),
        "measured seconds",
    )


def restarts(run: LocustProcess) -> list[dict[str, Any]]:
    """The events that tell of a server started again."""
    lines = map(json.loads, (run.folder / "windows.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("event") == "server_restart"]


def killed_and_back(server: EmbeddedTriton, run: LocustProcess, seconds: int = 1) -> int:
    """SIGKILL while it measures; the server is back a moment later. When it was killed (wall, ns)."""
    measuring(run, seconds)
    assert server.pid is not None
    killed = wall_ns()
    os.kill(server.pid, signal.SIGKILL)
    time.sleep(0.7)
    server.restart()
    return killed


def test_the_embedded_server_is_killed(usable_triton: None, tmp_path: Path) -> None:
    """It is reported as such, with its last lines, and started again; the load goes on."""
    with LocustProcess(tmp_path, *RATE, "-p", "9s") as run:
        measuring(run, 4)
        [server] = run.left("tritonserver")
        os.kill(server, signal.SIGKILL)
        finish(run, code=1)
    [row] = run.rows
    assert row["scheduled"] > 700
    assert row["errors"]["UNAVAILABLE"] > 0
    assert row["ok"] > 550, "the load went on"
    assert "the embedded Triton died: signal SIGKILL" in run.output
    assert "Started GRPCInferenceService" in run.output, "its last lines"
    assert "started again" in run.output
    assert run.codes()["server_ended"] == 1
    assert row["audit"]["equal"] is None
    assert row["server"] is None, "no split: the new one began from zero"
    assert len(restarts(run)) == 1, "told by its death, and not by its statistics too"
    assert "Started GRPCInferenceService" in (run.folder / "server.log").read_text()


def test_a_server_of_ones_own_is_killed_and_comes_back(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Arrivals fail at once while there is no connection, and go on when it is back."""
    with LocustProcess(
        tmp_path, "-H", fresh_triton.url, *IDENTITY, "-p", "10s", "--request-rate-range", "100"
    ) as run:
        killed = killed_and_back(fresh_triton, run, 4)
        finish(run, code=1)
    [row] = run.rows
    assert row["errors"]["UNAVAILABLE"] > 40
    assert row["scheduled"] > 250
    assert row["ok"] > 100
    assert run.codes()["server_ended"] == 1
    zero = json.loads((run.folder / "run.json").read_text())["zero_wall_ns"]
    [restart] = restarts(run)
    assert killed < zero + restart["at_ns"] < killed + 5 * NS_PER_S
    assert "the statistics of identity began again from zero" in run.output


@pytest.mark.slow
def test_a_closed_loop_waits_for_the_server(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Killed and back again: no storm of instant failures meanwhile."""
    with LocustProcess(
        tmp_path, "-H", fresh_triton.url, *IDENTITY, "-p", "4s", "--concurrency-range", "4"
    ) as run:
        killed_and_back(fresh_triton, run)
        run.wait()
        [row] = run.rows
        finish(run, code=1 if row["failed"] else 0)
    assert row["failed"] <= 4, "only what was in flight"
    assert run.codes()["server_ended"] == 1
    assert row["ok"] > 0


def test_the_server_is_frozen(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """A second of SIGSTOP at 200/s shows in about 200 latencies, spread over that second, and is told."""
    with LocustProcess(
        tmp_path,
        *("-H", fresh_triton.url, *IDENTITY, "-p", "4s", "--latency-threshold", "100ms"),
        *("--request-rate-range", "200", "--request-distribution", "constant"),
    ) as run:
        measuring(run)
        assert fresh_triton.pid is not None
        os.killpg(fresh_triton.pid, signal.SIGSTOP)
        time.sleep(1)
        os.killpg(fresh_triton.pid, signal.SIGCONT)
        finish(run)
    [row] = run.rows
    assert row["scheduled"] == row["ok"] == 800
    assert 700_000_000 < row["latency_ns"]["max"] < 3_000_000_000
    slow = (1 - row["goodput_rate"] / row["achieved_request_rate"]) * row["ok"]
    assert 120 < slow < 400
    assert row["audit"]["equal"] is True
    assert run.codes()["server_stalled"] == 1
    assert "while requests were in flight, from" in run.output


@pytest.mark.slow
def test_the_server_is_gone_for_good(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """The plan goes on to its end, step by step, without hanging."""
    with LocustProcess(
        tmp_path,
        *("-H", fresh_triton.url, *IDENTITY, "-p", "3s"),
        *("--request-rate-range", "50,60", "--wait-ready", "1s", "--drain-timeout", "1s"),
    ) as run:
        measuring(run)
        fresh_triton.stop()
        finish(run, code=4)
    assert run.rows[0]["errors"]["UNAVAILABLE"] > 0
    assert run.rows[0]["ok"] > 0
    assert run.codes()["server_ended"] + run.codes()["not_measured"] + run.codes()["no_success"] > 0


def test_errors_of_the_model(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Every second request fails: counted by status, with the server's message, and exit code 1."""
    arguments = ("-m", "failing", "--shape", "INPUT0:4", "--warm-up", "100ms", "-p", "500ms")
    rate = ("--request-rate-range", "100", "--request-distribution", "constant")
    with LocustProcess(tmp_path / "one", "-H", triton.url, *arguments, *rate) as run:
        finish(run, code=1)
    [row] = run.rows
    assert row["failed"] == row["ok"] == 25
    [status] = row["errors"]
    assert status in ("INTERNAL", "UNKNOWN", "INVALID_ARGUMENT")
    assert 'as "ordered"' in run.output
    assert row["latency_ns"]["count"] == 25
    with LocustProcess(
        tmp_path / "two", "-H", triton.url, *arguments, *rate, "--exit-code-on-error", "0"
    ) as run:
        finish(run, code=0)
