"""Ctrl-C, SIGTERM and kill -9 at any moment: what was measured is told, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.real.locust_process import LocustProcess, finish
from tests.real.test_run_faults import measuring
from triton_users.server.embedded import EmbeddedTriton

SIGNALS = [signal.SIGINT, signal.SIGTERM]
ONE_AND_SLOWLY_THE_OTHER = [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]


@pytest.mark.parametrize("number", ONE_AND_SLOWLY_THE_OTHER)
def test_while_measuring(triton: EmbeddedTriton, tmp_path: Path, number: signal.Signals) -> None:
    """The summary of what was measured until then; a step that was cut short is no fault."""
    with LocustProcess(
        tmp_path,
        *("-H", triton.url, "-m", "identity_16", "--warm-up", "100ms", "-p", "1s"),
        *("--request-rate-range", "50,60,70,80,90,100,110,120,130,140"),
    ) as run:
        run.says("[2/10]")
        run.signal(number)
        finish(run)
    assert 1 <= len(run.rows) <= 4
    assert run.rows[0]["duration_ns"] == 1_000_000_000
    assert run.rows[0]["ok"] > 0
    assert "Saved in" in run.output


def test_an_endless_run(usable_triton: None, tmp_path: Path) -> None:
    """-u without -t lasts until Ctrl-C, which is its proper end."""
    with LocustProcess(tmp_path, "-m", "identity_16", "-u", "2", "--warm-up", "100ms") as run:
        measuring(run)
        run.signal(signal.SIGINT)
        finish(run)
    assert run.rows[0]["ok"] > 0
    assert run.summary["valid"] is True
    assert not run.codes()["cut_short"]


@pytest.mark.parametrize("number", SIGNALS)
def test_during_the_start(usable_triton: None, tmp_path: Path, number: signal.Signals) -> None:
    """Nothing was measured: no results, no traceback, no server."""
    with LocustProcess(tmp_path, "-m", "identity_16", "-u", "2") as run:
        run.says("starting a Triton")
        run.signal(number)
        code = run.wait()
        run.gone()
    assert code != 0
    assert "Traceback" not in run.output
    assert not run.results.exists()


def test_during_the_warm_up(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with LocustProcess(
        tmp_path, "-H", triton.url, "-m", "identity_16", "--concurrency-range", "2", "--warm-up", "30s"
    ) as run:
        run.says("warm-up 1 of 30 s")
        run.signal(signal.SIGINT)
        finish(run, code=4)
    assert sum(row["scheduled"] for row in run.rows) == 0
    assert run.summary["valid"] is False


@pytest.mark.parametrize("again", [pytest.param(False, marks=pytest.mark.slow), True], ids=["once", "twice"])
def test_while_requests_hang(fresh_triton: EmbeddedTriton, tmp_path: Path, *, again: bool) -> None:
    """The server is frozen, so the drain waits; a second Ctrl-C does not wait any longer."""
    with LocustProcess(
        tmp_path,
        *("-H", fresh_triton.url, "-m", "identity", "--shape", "INPUT0:16", "--warm-up", "0", "-p", "20s"),
        *("--request-rate-range", "50", "--drain-timeout", "30s" if again else "1s"),
    ) as run:
        measuring(run)
        assert fresh_triton.pid is not None
        os.killpg(fresh_triton.pid, signal.SIGSTOP)
        time.sleep(0.5)
        run.signal(signal.SIGINT)
        started = time.monotonic()
        if again:
            time.sleep(1)
            run.signal(signal.SIGINT)
        finish(run, code=1)
        assert time.monotonic() - started < 15
        os.killpg(fresh_triton.pid, signal.SIGCONT)
    assert run.rows[0]["errors"]["NO_ANSWER"] > 10


def test_kill_9(usable_triton: None, tmp_path: Path) -> None:
    """The kernel ends the server with us; the results hold all but the last second."""
    with LocustProcess(
        tmp_path, "-m", "identity_16", "--request-rate-range", "100", "--warm-up", "0", "-p", "30s"
    ) as run:
        measuring(run, 2)
        assert run.left("tritonserver")
        run.process.kill()
        run.process.wait(10)
        run.gone(6)
    assert json.loads((run.folder / "run.json").read_text())["seed"] >= 0
    assert sum(s["ok"] for line in run.lines for s in line["series"]) > 100
    assert not (run.folder / "summary.json").exists()
