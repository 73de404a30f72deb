"""Workers and masters that are killed or frozen in mid-run: the load goes on, and everything is counted."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import started
from tests.real.cluster import QUICK, Cluster, ServerRate, killed, play
from tests.real.locust_process import ROOT, LocustProcess
from triton_users import demo
from triton_users.run.roster import AHEAD_NS, SILENT_NS
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.requests import read_requests
from triton_users.units import NS_PER_S

ANY = ROOT / "locustfiles/any.py"
RATE = 2000
WINDOW_S = 1.0
WARM_UP_S = 0.5
SLACK_S = 0.2
MODEL = ("-m", "identity_16")


@contextmanager
def server_in(folder: Path) -> Iterator[EmbeddedTriton]:
    """Of the test's own: killed clients can crash it."""
    server = started(demo.build(folder / "models", ["identity_16"], {}), folder / "server.log")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def triton(usable_triton: None, tmp_path: Path) -> Iterator[EmbeddedTriton]:
    with server_in(tmp_path) as server:
        yield server


def at_rate(
    folder: Path,
    server: EmbeddedTriton,
    workers: int,
    seconds: int,
    rate: int = RATE,
    *more: str,
    locustfile: str | Path = ANY,
) -> Cluster:
    even = ("--request-distribution", "constant")  # so that half a second shows a rate
    return Cluster(
        folder,
        workers,
        *even,
        "-H",
        server.url,
        *MODEL,
        "--request-rate-range",
        str(rate),
        "-p",
        f"{seconds}s",
        *QUICK,
        *more,
        locustfile=locustfile,
    )


def kill_of(server: EmbeddedTriton, folder: Path, number: int, pause_s: float, count: int = 1) -> None:
    """Kill ``count`` of four workers ``pause_s`` after the second second, and hold what must hold."""
    with at_rate(folder, server, 4, 9) as cluster, ServerRate(server.url, "identity_16") as rate:
        cluster.measuring(1)
        time.sleep(pause_s)
        victims = cluster.workers[number : number + count]
        died = time.time()
        loss = min([killed(victim) for victim in victims])
        cluster.ended(0, 4)
    row = cluster.row
    assert row["failed"] == 0, cluster.said()
    assert rate.back_after(loss, RATE) <= 5.0, cluster.said()
    assert cluster.master.codes()["lost"] == 1
    [reason] = [r for r in cluster.master.summary["reasons"] if r["code"] == "lost"]
    for victim in victims:
        pid = f"pid {victim.process.pid}"
        assert pid in reason["message"], reason
        assert f"{pid}) is gone" in cluster.master.output
    assert " of the step" in reason["message"]
    # At most what the dead were given ahead, one window, and the bit that was under way.
    ahead_s = (SILENT_NS + AHEAD_NS) / NS_PER_S
    assert 0 < row["lost"] <= count * RATE / 4 * (ahead_s + 2 * WINDOW_S), row
    assert abs(row["scheduled"] - RATE * 9) < 5 * (RATE * 9) ** 0.5
    hold_gaps(row, count, died, ahead_s)
    unrecorded = row["audit"]["server"] - row["audit"]["ours"]  # answered, and nobody has recorded it
    assert 0 <= unrecorded <= count * RATE / 4 * (WINDOW_S + SLACK_S), row


def hold_gaps(row: dict[str, Any], count: int, died: float, ahead_s: float) -> None:
    """What is lost is said to have been due between the last window that came of a dead worker, at most one
    window before its death (seconds since the epoch), and the end of what it was given ahead."""
    assert sum(gap["arrivals"] for gap in row["gaps"]) == row["lost"]
    assert len(row["gaps"]) == count
    t0 = datetime.fromisoformat(row["started_at"]).timestamp() - WARM_UP_S
    for gap in row["gaps"]:
        assert died - WINDOW_S - SLACK_S <= t0 + gap["from_ns"] / NS_PER_S <= died + SLACK_S, row
        assert died < t0 + gap["until_ns"] / NS_PER_S <= died + ahead_s + SLACK_S, row


def test_one_of_four_is_killed(usable_triton: None, tmp_path: Path) -> None:
    play(server_in, partial(kill_of, number=1, pause_s=0.3), tmp_path)


@pytest.mark.slow
def test_two_of_four_are_killed(usable_triton: None, tmp_path: Path) -> None:
    play(server_in, partial(kill_of, number=0, pause_s=0.8, count=2), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("tenth", range(10))
def test_ten_kills_at_random_instants(tenth: int, usable_triton: None, tmp_path: Path) -> None:
    play(server_in, partial(kill_of, number=tenth % 4, pause_s=tenth * 0.137), tmp_path)


@pytest.mark.slow
def test_the_last_worker_is_killed(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with at_rate(tmp_path, triton, 1, 20, 200) as cluster:
        cluster.measuring(2)
        killed(cluster.workers[0])
        cluster.ended(4, limit_s=30)
    assert cluster.row["lost"] > 0
    assert cluster.row["ok"] > 0
    assert cluster.master.summary["valid"] is False
    assert cluster.master.codes()["workers_gone"] == 1


@pytest.mark.parametrize("left_s", [18, pytest.param(1, marks=pytest.mark.slow)])
def test_the_last_worker_of_a_closed_loop_is_killed(
    left_s: int, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    """In mid-step, and so near its end that the step is over before anyone misses the worker. A step that
    was to follow is not begun."""
    closed = ("-H", triton.url, *MODEL, "--concurrency-range", "2,3", "-p", f"{left_s + 2}s", *QUICK)
    with Cluster(tmp_path, 1, *closed) as cluster:
        cluster.measuring(2)
        killed(cluster.workers[0])
        cluster.ended(4, limit_s=30)
    assert cluster.row["ok"] > 0
    [reason] = [r for r in cluster.master.summary["reasons"] if r["code"] == "workers_gone"]
    assert (reason["severity"], reason["step"]) == ("invalid", None)
    assert "the last worker is gone" in reason["message"]


LOSSY = """
from triton_users.run.worker import WorkerRun
take, lost = WorkerRun.granted, []

def granted(self, grant):
    if not lost and any(lease.from_ns > 3e9 for lease in grant.leases):
        lost.append(grant)
    else:
        take(self, grant)

WorkerRun.granted = granted
"""


def test_a_lease_that_never_comes_is_lost(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Each of two workers misses one grant, of a second."""
    lossy = ANY.read_text() + LOSSY
    with at_rate(tmp_path, triton, 2, 5, 400, locustfile=lossy) as cluster:
        cluster.ended(0, 4, workers=[0, 1])
    row = cluster.row
    assert row["lost"] == pytest.approx(400, rel=0.1), row
    assert [gap["worker"] for gap in row["gaps"]] == [0, 1]
    for gap in row["gaps"]:
        assert 3 <= gap["from_ns"] / NS_PER_S < gap["until_ns"] / NS_PER_S <= 5.1
        assert gap["arrivals"] == pytest.approx(200, rel=0.2)
    assert row["audit"]["equal"] in (True, None)


def kill_master(server: EmbeddedTriton, folder: Path) -> None:
    with at_rate(folder / "killed", server, 3, 30, 600) as cluster:
        with ServerRate(server.url, "identity_16") as rate:
            cluster.measuring(1)
            loss = killed(cluster.master)
            time.sleep(4)
            assert rate.rate(loss - 1, loss) > 300
            assert rate.rate(loss + 3, loss + 3.9) == 0
        with Cluster(
            folder / "following",
            *(1, "-H", server.url, *MODEL, "--request-rate-range", "50", "-p", "1s", *QUICK),
            port=cluster.port,
        ) as following:
            following.ended(0, 4, workers=[0])
            assert following.master.summary["run"]["workers"] == 1
        for worker in cluster.workers:
            left_s = max(15 - (time.monotonic() - loss), 0.1)
            assert worker.wait(left_s) == 4, worker.output
            assert "triton-users: the master is gone: this worker ends" in worker.output
            worker.gone()


def test_the_master_is_killed(usable_triton: None, tmp_path: Path) -> None:
    """All load stops, workers end by themselves with a line, and none of them joins the next run."""
    play(server_in, kill_master, tmp_path)


@pytest.mark.slow
def test_a_worker_comes_as_the_master_is_killed(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """It has the locustfile and no more: it does not wait for a next master, as one without would."""
    slow = ANY.read_text() + (
        "import os, time\nif 'LATE' in os.environ:\n    print('here', flush=True)\n    time.sleep(2)\n"
    )
    with at_rate(tmp_path, triton, 1, 30, 100, locustfile=slow) as cluster:
        cluster.measuring(0)
        late = cluster.add("--processes", "2", env={"LATE": "yes"})
        late.says("here")
        killed(cluster.master)
        assert late.wait(20) not in (0, None), late.output
        assert "Failed to connect to the Locust master" in late.output
        late.gone()
        assert cluster.workers[0].wait(15) == 4


def test_a_worker_is_frozen_and_woken(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with at_rate(tmp_path, triton, 3, 16, 900, "--save-requests") as cluster:
        with ServerRate(triton.url, "identity_16") as rate:
            cluster.measuring(0)
            frozen = time.monotonic()
            cluster.workers[1].signal(signal.SIGSTOP)
            time.sleep(10)
            cluster.workers[1].signal(signal.SIGCONT)
            woken = time.monotonic()
            cluster.ended(0, 4, workers=[0, 1, 2])
        assert rate.back_after(frozen, 900) <= 5.0
        # Its share of the leases it held is lost, not sent at once: no burst of 300/s times some seconds.
        assert rate.rate(woken, woken + 0.5) < 900 * 1.5
    row = cluster.row
    assert 300 <= row["lost"] <= 300 * 4.5, row
    assert [gap["arrivals"] for gap in row["gaps"]] == [row["lost"]]
    [reason] = [r for r in cluster.master.summary["reasons"] if r["code"] == "lost"]
    assert f"pid {cluster.workers[1].process.pid}" in reason["message"]
    assert row["audit"]["equal"] in (True, None), row
    assert row["ok"] + row["lost"] + row["dropped"] + row["failed"] == row["scheduled"]
    numbers = np.concatenate([sent_by(worker) for worker in cluster.workers])
    assert len(np.unique(numbers)) == len(numbers) > row["ok"], "an arrival was sent twice"
    assert numbers.min() >= 0
    # The woken one took part again: the last second of the schedule is as much its as the others'.
    assert np.count_nonzero(sent_by(cluster.workers[1]) > numbers.max() - 900) > 200


def sent_by(worker: LocustProcess) -> npt.NDArray[np.int64]:
    """The numbers in the schedule of all that it has sent."""
    requests = read_requests(next(worker.results.iterdir()))
    return requests.index[requests.sent_ns >= 0]


def test_the_master_is_frozen_and_woken(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with at_rate(tmp_path, triton, 2, 9, 400) as cluster:
        cluster.measuring(1)
        cluster.master.signal(signal.SIGSTOP)
        time.sleep(5)
        cluster.master.signal(signal.SIGCONT)
        cluster.ended(0, 4, workers=[0, 1])
    row = cluster.row
    # Leases reached 1.2 to 2.2 s ahead; a round later they go on.
    assert 400 * 2.5 <= row["lost"] <= 400 * 4.5, row
    assert "granted to nobody" in cluster.master.output
    assert row["generators"][0]["windows_missing"] == row["generators"][1]["windows_missing"] == 0
