"""A second in which somebody stands still: where it shows, and that nothing is lost by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triton_users.server.embedded import EmbeddedTriton

ROOT = Path(__file__).parents[2]


@contextmanager
def load(url: str, mode: str) -> Iterator[subprocess.Popen[str]]:
    """The load, begun half a second ago."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.stalled_load", url, mode],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def figures(process: subprocess.Popen[str]) -> dict[str, int]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    found: dict[str, int] = json.loads(out)
    return found


def stop_for_a_second(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1)
    os.kill(pid, signal.SIGCONT)


def test_a_frozen_generator_shows_in_latency_and_send_lag(triton: EmbeddedTriton) -> None:
    with load(triton.url, "open") as process:
        stop_for_a_second(process.pid)
        found = figures(process)
    assert found["ok"] == found["scheduled"], found
    # Those that arrived 0 to 900 ms before it woke; it may wake late.
    assert 750 <= found["latency"] <= 1500, found
    assert 35 <= found["latency_middle"] <= 65, found  # spread over the second, not one long wait
    assert found["send_lag"] >= 750, found
    # What it then sends in one go may take the server a while, but no half of a second.
    assert found["service_upper_half"] <= found["latency_upper_half"] / 4, found
    assert found["unanswered_ms"] < 400, found  # it saw nothing of the server meanwhile


def test_a_frozen_server_shows_in_service_latency(fresh_triton: EmbeddedTriton) -> None:
    assert fresh_triton.pid is not None
    with load(fresh_triton.url, "open") as process:
        stop_for_a_second(fresh_triton.pid)
        found = figures(process)
    assert found["ok"] == found["scheduled"], found  # the cap is above a second's arrivals
    assert 750 <= found["latency"] <= 1500, found
    assert 35 <= found["latency_middle"] <= 65, found  # spread over the second, as above
    assert found["service_latency"] >= 750, found
    assert found["send_lag"] <= found["latency"] / 4, found
    assert 600 <= found["unanswered_ms"] <= 1500, found


def test_a_closed_loop_hides_a_frozen_server(fresh_triton: EmbeddedTriton) -> None:
    """Why there is an open loop: eight slots see the same second eight times."""
    assert fresh_triton.pid is not None
    with load(fresh_triton.url, "closed") as process:
        stop_for_a_second(fresh_triton.pid)
        found = figures(process)
    assert found["ok"] == found["scheduled"] > 1000, found
    assert found["latency"] == found["service_latency"], found
    assert found["latency_upper_half"] == 8, found
    assert 600 <= found["unanswered_ms"] <= 1500, found


@pytest.mark.slow  # the whole command goes through the same in test_run_*
@pytest.mark.parametrize("mode", ["open", "closed"])
def test_a_killed_server_leaves_the_ledger_closed(fresh_triton: EmbeddedTriton, mode: str) -> None:
    assert fresh_triton.pid is not None
    with load(fresh_triton.url, mode) as process:
        os.kill(fresh_triton.pid, signal.SIGKILL)
        time.sleep(0.5)
        fresh_triton.stop()
        fresh_triton.start()
        found = figures(process)
    ended = found["ok"] + found["failed"] + found["dropped"] + found["lost"]
    assert found["scheduled"] == ended, found
    assert found["ok"] > 400, found
    if mode == "closed":
        assert 0 < found["failed"] <= 40, found
    else:
        assert 300 <= found["failed"] <= 3000, found
