"""Kills, freezes and joiners where master, workers and Triton have a host each: none is on a loopback."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.cluster import QUICK, Cluster, ServerRate, free_port, killed, play
from tests.real.hosted_triton import HostedTriton, triton_on
from tests.real.hosts import Hosts, hosts_of
from triton_users import demo
from triton_users.run.roster import AHEAD_NS, SILENT_NS
from triton_users.units import NS_PER_S

MODEL = "identity_16"
WINDOW_S = 1.0


class Lab:
    """A Triton, a master and workers, each on a host of its own."""

    def __init__(self, hosts: Hosts, triton: HostedTriton) -> None:
        self.hosts, self.triton, self.log = hosts, triton, triton.log

    def cluster(self, folder: Path, workers: int, rate: int, seconds: int, port: int = 0) -> Cluster:
        master = self.hosts["master"]
        cluster = Cluster(
            folder,
            0,
            *("-H", self.triton.url, "-m", MODEL, "--request-rate-range", str(rate), "-p", f"{seconds}s"),
            *("--request-distribution", "constant", *QUICK),
            expect=workers,
            address=master.address,
            prefix=master.prefix,
            port=port or free_port(),
        )
        for _ in range(workers):
            self.add_to(cluster)
        return cluster

    def add_to(self, cluster: Cluster) -> None:
        cluster.add(prefix=self.hosts[f"worker{len(cluster.workers)}"].prefix)


@contextmanager
def lab_in(folder: Path) -> Iterator[Lab]:
    with hosts_of("triton", "master", "worker0", "worker1", "worker2", "worker3") as hosts:
        repository = demo.build(folder / "models", [MODEL], {})
        with triton_on(hosts["triton"], repository, folder / "server.log") as server:
            yield Lab(hosts, server)


def test_one_joins_one_is_frozen_and_one_is_killed(usable_triton: None, tmp_path: Path) -> None:
    play(lab_in, one_joins_one_is_frozen_and_one_is_killed, tmp_path)


@pytest.mark.slow
def test_the_master_is_killed(usable_triton: None, tmp_path: Path) -> None:
    play(lab_in, the_master_is_killed, tmp_path)


def one_joins_one_is_frozen_and_one_is_killed(lab: Lab, folder: Path) -> None:
    """Of 600/s, one after the other: the load goes on, and what was lost is laid to its worker and host."""
    rate, frozen_s = 600, 5
    with lab.cluster(folder, 3, rate, 22) as cluster, ServerRate(lab.triton.url, MODEL) as served:
        cluster.measuring(0)
        lab.add_to(cluster)
        cluster.master.says("worker 3 (worker3, pid ")
        by_pid = {f"worker{n}, pid {worker.process.pid}": worker for n, worker in enumerate(cluster.workers)}
        cluster.workers[1].signal(signal.SIGSTOP)
        time.sleep(frozen_s)
        cluster.workers[1].signal(signal.SIGCONT)
        cluster.master.until(lambda: cluster.master.output.count(") has joined") == 2, "the frozen one")
        died = killed(cluster.workers[0])
        cluster.ended(0, 4, workers=[1, 2, 3])
    row, output = cluster.row, cluster.master.output
    assert served.back_after(died, rate) <= 5.0, cluster.said()
    dead, woken = list(by_pid)[:2]
    assert f"({dead}) is gone" in output and f"({woken}) is gone" in output
    [lost] = [reason["message"] for reason in cluster.master.summary["reasons"] if reason["code"] == "lost"]
    assert f"({dead}): " in lost and f"({woken}): " in lost
    host_of = {generator["worker"]: generator["host"] for generator in row["generators"]}
    assert sorted(host_of[gap["worker"]] for gap in row["gaps"]) == ["worker0", "worker1"]
    # Of each at most what it was given ahead, and two windows.
    for gap in row["gaps"]:
        assert 0 < gap["arrivals"] <= rate / 3 * ((SILENT_NS + AHEAD_NS) / NS_PER_S + 2 * WINDOW_S), row
    assert row["ok"] + row["failed"] + row["dropped"] + row["lost"] == row["scheduled"] == rate * 22
    found = {generator["host"]: generator for generator in row["generators"]}
    assert {host: one["address"] for host, one in found.items()} == {
        f"worker{n}": lab.hosts[f"worker{n}"].address for n in range(4)
    }
    assert 0.1 < found["worker3"]["share"] < found["worker2"]["share"] < 0.5


def the_master_is_killed(lab: Lab, folder: Path) -> None:
    """All load stops, and the workers end by themselves; none of them joins the next run at this address."""
    with lab.cluster(folder / "first", 2, 300, 30) as cluster:
        with ServerRate(lab.triton.url, MODEL) as served:
            cluster.measuring(1)
            loss = killed(cluster.master)
            time.sleep(4)
        assert served.rate(loss - 1, loss) > 150
        assert served.rate(loss + 3, loss + 3.9) == 0
        with lab.cluster(folder / "second", 1, 50, 1, cluster.port) as following:
            following.ended(0, 4, workers=[0])
            assert following.master.summary["run"]["workers"] == 1
        for worker in cluster.workers:
            assert worker.wait(max(15 - (time.monotonic() - loss), 0.1)) == 4, worker.output
            assert "triton-users: the master is gone: this worker ends" in worker.output
