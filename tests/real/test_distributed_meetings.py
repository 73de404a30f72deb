"""How workers and masters come together and part: joiners, refusals, --processes, signals, run after run."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import started
from tests.real.cluster import QUICK, Cluster, free_port
from tests.real.locust_process import ROOT, LocustProcess, finish
from triton_users import demo
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.requests import read_requests
from triton_users.units import NS_PER_MS, NS_PER_S

MODEL = ("-m", "identity_16")
FRESH = ("-m", "identity", "--shape", "INPUT0:16")
"""Of a server of the test's own: killed clients can crash it."""
OPEN = ("--request-rate-range", "300")
OTHER_VERSION = "import triton_users.run.hello as hello\nhello.VERSION = '0.0.1'\n"
NO_FINGERPRINT = "import triton_users.run.hello as hello\nhello.fingerprint = lambda seed: '0' * 16\n"
CONNECTED = """
import time
from locust import events


@events.init.add_listener
def connected(**_):
    print("connected at", time.time(), flush=True)
"""
ANY = ROOT / "locustfiles/any.py"
USER = "from triton_users import TritonUser\n\n\nclass Mine(TritonUser):\n    model = 'identity_16'\n"


def patched(folder: Path, source: str) -> dict[str, str]:
    """An environment in which a process has been changed before it began."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(source)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


def sends_after_s(worker: LocustProcess, master: LocustProcess) -> float:
    """From the instant at which it was connected to its first request."""
    [text] = re.findall(r"connected at (\S+)", worker.output)
    zero_ns = json.loads((master.folder / "run.json").read_text())["zero_wall_ns"]
    sent = read_requests(worker.folder).sent_ns
    return float(zero_ns + sent[sent >= 0].min()) / NS_PER_S - float(text)


def test_joiners_in_open_loop(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """The first, the second and the third: each has a share three seconds after it is there."""
    load = (*MODEL, *OPEN, "-p", "50s", "--save-requests")
    telling = ANY.read_text() + CONNECTED
    with Cluster(tmp_path, 1, "-H", triton.url, *load, *QUICK, locustfile=telling) as cluster:
        cluster.measuring(0)
        for number in (1, 2, 3):
            cluster.add()
            cluster.master.says(f"worker {number} (")
            time.sleep(3)  # the next one's start takes processors: not before this one sends
        time.sleep(4)
        cluster.master.signal(signal.SIGTERM)
        cluster.ended(0, 4, workers=[0, 1, 2, 3])
    assert cluster.row["lost"] == 0
    assert cluster.row["audit"]["equal"] is True
    shares = [generator["share"] for generator in cluster.row["generators"]]
    assert len(shares) == 4
    assert all(share > 0.03 for share in shares), shares
    assert shares[0] == max(shares)
    waited = [sends_after_s(worker, cluster.master) for worker in cluster.workers[1:]]
    assert max(waited) <= 3.0, waited


def test_two_joiners_in_closed_loop(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Locust by itself shares users out to the first joiner alone; the second would have none for ever."""
    with Cluster(
        tmp_path, 1, "-H", triton.url, *MODEL, "--concurrency-range", "6", "-p", "50s", *QUICK
    ) as cluster:
        cluster.measuring(0)
        for number in (1, 2):
            cluster.add()
            cluster.master.says(f"worker {number} (")
        time.sleep(5)
        cluster.master.signal(signal.SIGTERM)
        cluster.ended(0, 4, workers=[0, 1, 2])
    last = cluster.master.lines[-2]
    assert [one["users"] for one in last["generators"]] == [2, 2, 2], cluster.said()
    assert all(one["ok"] > 0 for one in last["generators"]), last
    assert cluster.row["audit"]["equal"] is True


def test_a_joiner_and_a_loss_in_closed_loop(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Users are shared out anew within 8 s; every second without all slots is marked, and no other."""
    with Cluster(
        tmp_path, 2, "-H", fresh_triton.url, *FRESH, "--concurrency-range", "6", "-p", "22s", *QUICK
    ) as cluster:
        cluster.measuring(1)
        cluster.add()
        cluster.master.says("has joined")
        cluster.measuring(6)
        cluster.workers[0].signal(signal.SIGKILL)
        cluster.ended(0, 4, workers=[1, 2])
    users = [(line["second"], line["users"]) for line in cluster.master.lines if "users" in line]
    assert users[-2][1] == 6, users
    off = {second: count for second, count in users[1:-1] if count != 6}
    assert 2 <= len(off) <= 9, users
    assert 4 in off.values(), users  # the dead one's two are missing
    [reason] = [r for r in cluster.master.summary["reasons"] if r["code"] == "concurrency_off"]
    assert reason["severity"] == "doubtful"
    assert reason["message"].startswith(f"in {len(off)} s of the measurement"), (reason, users)
    assert all(f"{second}" in reason["message"] for second in (min(off), max(off))), (reason, users)
    assert all(generator["requests"] > 0 for generator in cluster.row["generators"])
    audit = cluster.row["audit"]
    if not audit["skipped"]:  # killed clients can crash it
        assert cluster.master.codes()["unrecorded"] == (audit["server"] > audit["ours"]), cluster.said()
        assert cluster.master.codes()["audit_mismatch"] == 0


def test_processes_and_an_embedded_server(usable_triton: None, tmp_path: Path) -> None:
    with LocustProcess(tmp_path, *MODEL, "--processes", "-1", *OPEN, "-p", "2s", *QUICK) as run:
        finish(run)
    assert run.summary["run"]["workers"] >= 2
    assert run.summary["run"]["server"]["embedded"] is True
    assert run.output.count("starting a Triton of our own") == 1
    assert run.output.count("worker  at") == 1  # the table of workers


def test_a_master_that_refuses_leaves_no_processes(triton: EmbeddedTriton, tmp_path: Path) -> None:
    start = time.monotonic()
    with LocustProcess(tmp_path, "-H", triton.url, "-m", "nope", "--processes", "2") as run:
        assert run.wait() == 2, run.output
        run.gone(3)
    assert "has no model 'nope'" in run.output
    assert time.monotonic() - start < 12


@pytest.mark.slow
def test_the_forked_end_with_their_parent(fresh_triton: EmbeddedTriton, tmp_path: Path) -> None:
    with LocustProcess(
        tmp_path, "-H", fresh_triton.url, *FRESH, "--processes", "2", "-p", "30s", *OPEN, *QUICK
    ) as run:
        run.says("measuring 0 of")
        run.signal(signal.SIGKILL)
        run.process.wait(5)
        run.gone(8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (OTHER_VERSION, ["runs triton-users 0.0.1, the master"]),
        pytest.param(
            NO_FINGERPRINT,
            ["makes other schedules than the master (fingerprint 00000000, not"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["version", "fingerprint"],
)
def test_a_worker_that_differs_is_refused(
    source: str, words: list[str], triton: EmbeddedTriton, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 1, "-H", triton.url, *MODEL, *OPEN, *QUICK, expect=2) as cluster:
        other = cluster.add(env=patched(tmp_path / "site", source))
        assert cluster.master.wait() == 2, cluster.said()
        for word in [*words, f"pid {other.process.pid}"]:
            assert word in cluster.master.output, cluster.said()
        assert other.wait(15) in (0, 2)
        assert not list(cluster.master.results.glob("*"))


def test_another_locustfile_is_refused(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with Cluster(tmp_path, 0, "-H", triton.url, *MODEL, *OPEN, *QUICK, expect=1) as cluster:
        cluster.add("--request-rate-range", "77", locustfile=USER)
        assert cluster.master.wait() == 2, cluster.said()
        assert "has another locustfile than the master" in cluster.master.output
        assert "--request-rate-range has no effect here" in cluster.workers[0].output


def test_a_worker_that_fails_in_init_is_missed(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Locust counts it as ready, starts, and ends with 0: we do not."""
    broken = USER + (
        "import os, sys\nfrom locust import events\n\n\n@events.init.add_listener\n"
        "def fail(**_):\n    if 'FAIL' in os.environ:\n        sys.exit(5)\n"
    )
    with Cluster(tmp_path, 1, "-H", triton.url, *OPEN, *QUICK, expect=2, locustfile=broken) as cluster:
        cluster.add(env={"FAIL": "1"})
        assert cluster.master.wait() == 2, cluster.said()
    assert "1 of 2 workers are ready" in cluster.master.output, cluster.said()
    assert cluster.workers[1].process.returncode == 5


def test_fewer_workers_than_expected(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with Cluster(
        tmp_path, 1, "-H", triton.url, *MODEL, *OPEN, *QUICK, "--expect-workers-max-wait", "3", expect=2
    ) as cluster:
        assert cluster.master.wait() == 2, cluster.said()
        assert "1 of 2 workers" in cluster.master.output
        assert cluster.workers[0].wait(20) in (0, 4)
        assert not list(cluster.master.results.glob("*"))
        cluster.master.gone()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_master_that_waits_for_workers_is_interrupted(
    number: signal.Signals, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    """The run has not begun: nothing is left of it, and those that have come go home."""
    with Cluster(tmp_path, 1, "-H", triton.url, *MODEL, *OPEN, *QUICK, expect=2) as cluster:
        cluster.master.says("1 of 2 connected")
        cluster.master.signal(number)
        cluster.ended(2, workers=[0])
        assert "the run had not begun, nothing was measured" in cluster.master.output
        assert not list(cluster.master.results.glob("*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_worker_leaves_in_order(number: signal.Signals, triton: EmbeddedTriton, tmp_path: Path) -> None:
    """What it had in flight is answered and recorded; the others take over."""
    with Cluster(tmp_path, 2, "-H", triton.url, *MODEL, *OPEN, "-p", "6s", *QUICK) as cluster:
        cluster.measuring(1)
        cluster.workers[0].signal(number)
        assert cluster.workers[0].wait(10) == 0
        cluster.ended(0, 4, workers=[1])
    row = cluster.row
    assert 0 < row["lost"] <= 300 / 2 * 4.5
    assert row["failed"] == 0
    assert sum(generator["unrecorded"] for generator in row["generators"]) == 0
    assert row["audit"]["equal"] is True


@pytest.fixture
def slow_triton(usable_triton: None, tmp_path: Path) -> Iterator[EmbeddedTriton]:
    """An answer takes longer than the half second that Locust leaves its workers for their last reports."""
    parameters = {"recording": {"service_time_ns": str(1200 * NS_PER_MS)}}
    server = started(demo.build(tmp_path / "models", ["recording"], parameters), tmp_path / "server.log")
    yield server
    server.stop()


TASKS = """
import gevent
import numpy as np
from locust import task
from triton_users import TritonUser
import triton_users.client as grpcclient


class Caller(TritonUser):
    @task
    def call(self):
        gevent.sleep(0.4)
        tensor = grpcclient.InferInput("INPUT0", [1], "INT64")
        tensor.set_data_from_numpy(np.ones(1, np.int64))
        self.client.infer("recording", [tensor])
"""
"""Both may be under way when Locust stops a user: the making of a request, and the wait for its answer."""


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(("--concurrency-range", "6"), id="closed"),
        pytest.param(
            ("--request-rate-range", "3", "--max-in-flight", "64"), id="rate", marks=pytest.mark.slow
        ),
    ],
)
def test_a_joiner_where_users_have_tasks(
    load: tuple[str, ...], slow_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    """Half of the users go from where they were. What they have sent is answered, and counted."""
    with Cluster(
        tmp_path, 1, "-H", slow_triton.url, "-m", "recording", *load, "-p", "10s", *QUICK, locustfile=TASKS
    ) as cluster:
        cluster.measuring(2)
        cluster.add()
        cluster.ended(0, 4, workers=[0, 1])
    row = cluster.row
    assert row["failed"] == 0, row["errors"]
    assert all(generator["requests"] > 0 for generator in row["generators"]), row
    assert row["audit"]["equal"] is True, row


@pytest.mark.slow
def test_a_worker_sleeps_from_one_step_into_the_next(slow_triton: EmbeddedTriton, tmp_path: Path) -> None:
    """The master goes on without it; when it wakes it ends the one, and takes part in the other."""
    load = ("-m", "recording", "--shape", "INPUT0:1", "--concurrency-range", "2,4", "-p", "8s")
    with Cluster(tmp_path, 2, "-H", slow_triton.url, *load, *QUICK) as cluster:
        cluster.measuring(5)
        cluster.workers[1].signal(signal.SIGSTOP)
        cluster.master.says("[2/2]")
        time.sleep(1)
        cluster.workers[1].signal(signal.SIGCONT)
        cluster.ended(0, 4, workers=[0, 1])
    first, second = cluster.master.rows
    assert first["failed"] == second["failed"] == 0
    assert [one["worker"] for one in second["generators"] if one["requests"]] == [0, 1], second
    assert second["audit"]["equal"] is True, second


@pytest.mark.parametrize("ends", ["by itself", "by SIGTERM"])
def test_slow_answers_are_waited_for_and_reported(
    ends: str, slow_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    load = ("-m", "recording", "--shape", "INPUT0:1", "--concurrency-range", "4")
    seconds = "3s" if ends == "by itself" else "30s"
    with Cluster(tmp_path, 2, "-H", slow_triton.url, *load, "-p", seconds, *QUICK) as cluster:
        cluster.measuring(2)
        if ends == "by SIGTERM":
            cluster.master.signal(signal.SIGTERM)
        cluster.ended(0, 4, workers=[0, 1])
    row = cluster.row
    assert row["ok"] == row["scheduled"] >= 8, row
    assert row["audit"]["equal"] is True, row
    assert [one["windows_missing"] for one in row["generators"]] == [0, 0]


@pytest.mark.slow
def test_workers_forked_by_a_worker_hear_ctrl_c_themselves(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """No master is among them that would; and one of them tells of options that are the master's."""
    with Cluster(tmp_path, 1, "-H", triton.url, *MODEL, *OPEN, "-p", "50s", *QUICK) as cluster:
        two = cluster.add("--processes", "2", "--seed", "5")
        cluster.master.says("worker 2 (")
        os.killpg(two.process.pid, signal.SIGINT)  # as a terminal does
        assert two.wait(10) == 0, two.output
        two.gone()
        cluster.master.signal(signal.SIGTERM)
        cluster.ended(0, 4, workers=[0])
    assert two.output.count("--seed has no effect here") == 1
    assert cluster.row["failed"] == 0
    assert sum(generator["unrecorded"] for generator in cluster.row["generators"]) == 0


def test_requests_that_a_worker_cannot_save_are_missed(triton: EmbeddedTriton, tmp_path: Path) -> None:
    (tmp_path / "worker1").mkdir()
    (tmp_path / "worker1" / "results").write_text("a file where the folder should be")
    with Cluster(
        tmp_path, 2, "-H", triton.url, *MODEL, *OPEN, "-p", "1s", *QUICK, "--save-requests"
    ) as cluster:
        cluster.ended(4, workers=[0, 1])
    [reason] = [r for r in cluster.master.summary["reasons"] if r["code"] == "results_incomplete"]
    assert f"pid {cluster.workers[1].process.pid}) cannot write results/" in reason["message"], reason
    assert reason["severity"] == "invalid"
    assert list(cluster.workers[0].results.glob("*/requests-*.npz"))


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_to_the_master_closes_the_run(
    number: signal.Signals, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 2, "-H", triton.url, *MODEL, *OPEN, "-p", "30s", *QUICK) as cluster:
        cluster.measuring(1)
        cluster.master.signal(number)
        cluster.ended(0, 4, workers=[0, 1])
    row = cluster.row
    assert row["ok"] == row["scheduled"] > 200
    assert row["audit"]["equal"] is True
    assert cluster.master.codes()["cut_short"] == 1


@pytest.mark.slow
def test_the_port_can_be_used_at_once(triton: EmbeddedTriton, tmp_path: Path) -> None:
    port = free_port()
    for name in ("first", "second"):
        with Cluster(
            tmp_path / name, 2, "-H", triton.url, *MODEL, *OPEN, "-p", "1s", *QUICK, port=port
        ) as one:
            one.ended(0, 4, workers=[0, 1])
            assert one.master.summary["run"]["workers"] == 2
