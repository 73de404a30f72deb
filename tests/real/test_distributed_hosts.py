"""Master, workers and Triton on hosts of their own (network namespaces): one schedule, one time axis."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.real.cluster import QUICK, Cluster, free_port
from tests.real.hosted_triton import HostedTriton, triton_on
from tests.real.hosts import Hosts, hosts_of
from tests.real.locust_process import ROOT, LocustProcess
from triton_users import demo
from triton_users.schedule import Schedule
from triton_users.sinks.requests import SavedRequests, read_requests
from triton_users.stats.histogram import Accumulator
from triton_users.stats.lines import line_series
from triton_users.stats.window import LATENCY
from triton_users.step import POISSON
from triton_users.units import NS_PER_MS, NS_PER_S

SEED, RATE, SECONDS = 5, 300, 4
LOAD = ("-m", "recording", "--shape", "INPUT0:4", "--seed", str(SEED), "--request-rate-range", str(RATE))
TENSOR_BYTES = 4 * 8
LOGGING = (
    (ROOT / "locustfiles/any.py").read_text()
    + f"""
import hashlib

from triton_users.engine.sender import Sender

sends = open("sends.txt", "w", buffering=1)
send = Sender._send


def logged(self, chunk, start, end, now):
    for at_ns, item in zip(chunk.times[start:end], chunk.items[start:end]):
        digest = hashlib.sha256(item.body[-{TENSOR_BYTES}:]).hexdigest()[:16]
        sends.write(f"{{at_ns - self._arrivals._t0}} {{digest}}\\n")
    send(self, chunk, start, end, now)


Sender._send = logged
"""
)
"""Each process writes down what it hands to the connection, arrival by arrival: saved requests tell the
instants alone, since the load itself never needs to know which of the inputs a request carries."""


@dataclass
class Lab:
    hosts: Hosts
    triton: HostedTriton
    record: Path

    def cluster(self, folder: Path, workers: int, *arguments: str, **more: int) -> Cluster:
        """Master and workers on hosts of their own; ``skew`` is that of the last worker's clock."""
        master = self.hosts["master"]
        skew = more.pop("skew", 0)
        cluster = Cluster(
            folder,
            0,
            *("-H", self.triton.url, *LOAD, "-p", f"{SECONDS}s", *QUICK, *arguments),
            expect=more.pop("expect", workers),
            locustfile=LOGGING,
            address=master.address,
            prefix=master.prefix,
            port=free_port(),
        )
        for number in range(workers):
            env = {"TRITON_USERS_CLOCK_SKEW_NS": str(skew if number == workers - 1 else 0)}
            cluster.add(prefix=self.hosts[f"worker{number}"].prefix, env=env)
        return cluster


@pytest.fixture
def lab(usable_triton: None, tmp_path: Path) -> Iterator[Lab]:
    record = tmp_path / "record"
    with hosts_of("triton", "master", "worker0", "worker1", "worker2") as hosts:
        repository = demo.build(tmp_path / "models", ["recording"], {"recording": {"record": str(record)}})
        with triton_on(hosts["triton"], repository, tmp_path / "server.log") as server:
            yield Lab(hosts, server, record)


@dataclass
class Sent:
    """One run: what was sent, as logged at the send call in each process, and by the model. ``inputs`` maps
    the number of an arrival to the hash of what was sent for it."""

    requests: SavedRequests
    inputs: dict[int, str]
    hashes: Counter[str]
    began: np.ndarray[tuple[int], np.dtype[np.int64]]
    cluster: Cluster

    @property
    def planned(self) -> dict[int, int]:
        """Number of an arrival -> its instant after the first of all."""
        first = self.requests.arrival_ns.min()
        return dict(
            zip(self.requests.index.tolist(), (self.requests.arrival_ns - first).tolist(), strict=True)
        )


def run(lab: Lab, folder: Path, workers: int, skew: int = 0) -> Sent:
    lab.record.write_text("")
    with lab.cluster(folder, workers, "--save-requests", skew=skew) as cluster:
        cluster.ended(0, 4, workers=range(workers))
    lines = [line.split() for line in lab.record.read_text().splitlines()]
    parts = [saved(worker) for worker in cluster.workers]
    columns = ("worker", "index", "arrival_ns", "sent_ns", "done_ns", "status", "cls")
    requests = SavedRequests(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in columns),
        classes=parts[0].classes,
        flows=parts[0].flows,
    )
    began = np.sort(np.array([int(at) for _, at in lines], np.int64))
    hashes = Counter(digest for digest, _ in lines)
    return Sent(requests, inputs_sent(cluster, requests.flows[0]), hashes, began, cluster)


def saved(worker: LocustProcess) -> SavedRequests:
    """The files stay with the workers: each on its own disk, here each in its own folder."""
    return read_requests(next(worker.results.iterdir()))


def inputs_sent(cluster: Cluster, flow: str) -> dict[int, str]:
    """Number of an arrival -> the hash of its input, from all workers' own logs; each arrival once."""
    arrivals = Schedule(POISSON, RATE, SEED, f"0/{flow}").arrivals(0, (SECONDS + 1) * NS_PER_S)
    number = dict(zip(arrivals.offset_ns.tolist(), arrivals.index.tolist(), strict=True))
    found: dict[int, str] = {}
    for worker in cluster.workers:
        for line in (worker.cwd / "sends.txt").read_text().splitlines():
            offset, digest = line.split()
            index = number[int(offset)]
            assert index not in found, f"arrival {index} was sent twice"
            found[index] = digest
    return found


def test_three_workers_send_what_one_would(lab: Lab, tmp_path: Path) -> None:
    one, three = run(lab, tmp_path / "one", 1), run(lab, tmp_path / "three", 3, skew=2 * NS_PER_S)
    assert len(set(three.requests.worker.tolist())) == 3
    assert len(three.requests) == len(three.planned) > RATE * SECONDS * 0.9
    assert one.planned == three.planned
    assert one.inputs == three.inputs
    assert sorted(three.inputs) == sorted(three.planned)
    for sent in (one, three):
        assert sent.hashes == Counter(sent.inputs.values())
        assert len(sent.hashes) > 32, "inputs that are all alike could be swapped unseen"

    schedule = Schedule(POISSON, RATE, SEED, f"0/{three.requests.flows[0]}")
    assert list(three.planned) and sorted(three.planned) == list(
        range(schedule.count(0, int(4.5 * NS_PER_S)))
    )
    gaps = np.diff(np.sort(three.requests.sent_ns)) / NS_PER_S
    assert stats.kstest(gaps, "expon", args=(0, 1 / RATE)).pvalue > 1e-4

    interleave(three)
    same_histogram(three, schedule)
    generators = three.cluster.row["generators"]
    assert {g["host"] for g in generators} == {"worker0", "worker1", "worker2"}
    assert {g["address"] for g in generators} == {lab.hosts[f"worker{n}"].address for n in range(3)}
    assert max(g["clock_offset_ns"] for g in generators) == pytest.approx(2 * NS_PER_S, abs=50 * NS_PER_MS)


def interleave(sent: Sent) -> None:
    """The server saw all sends in one order of time: no worker's clock is off by more than is printed."""
    generators = {g["worker"]: g["clock_uncertainty_ns"] for g in sent.cluster.row["generators"]}
    order = np.argsort(sent.requests.sent_ns)
    way = sent.began - sent.requests.sent_ns[order]
    of = sent.requests.worker[order]
    shortest = {worker: int(np.percentile(way[of == worker], 20)) for worker in generators}
    for worker, unsure in generators.items():
        others = min(shortest.values())
        assert shortest[worker] - others <= unsure + max(generators.values()) + NS_PER_MS, (
            shortest,
            generators,
        )


def same_histogram(sent: Sent, schedule: Schedule) -> None:
    """Bucket by bucket: what the workers' windows add up to, and all raw requests put together."""
    requests = sent.requests
    first = int(schedule.arrivals(0, NS_PER_S).offset_ns[0])
    offset = requests.arrival_ns - requests.arrival_ns.min() + first
    measured = offset >= 500 * NS_PER_MS
    raw = Accumulator()
    raw.add((requests.done_ns - requests.arrival_ns)[measured])
    merged: Counter[int] = Counter()
    for line in sent.cluster.master.lines:
        for key, series in line_series(line).items() if "series" in line else ():
            if key.trial >= 0 and LATENCY in series.hists:
                hist = series.hists[LATENCY]
                merged.update(dict(zip(hist.index.tolist(), hist.count.tolist(), strict=True)))
    expected = raw.cut()
    assert merged == Counter(dict(zip(expected.index.tolist(), expected.count.tolist(), strict=True)))


def test_a_worker_far_away(lab: Lab, tmp_path: Path) -> None:
    """20 ms of delay, 1 % of loss: nothing is sent twice or lost, nothing of the results is missing, and the
    clock is not trusted further than such a line allows."""
    far_host = lab.hosts.add_far("far")
    with lab.cluster(tmp_path, 2, "--save-requests", expect=3) as cluster:
        cluster.add(prefix=far_host.prefix)
        cluster.ended(0, 4, workers=[0, 1, 2])
    parts = [saved(worker) for worker in cluster.workers]
    schedule = Schedule(POISSON, RATE, SEED, f"0/{parts[0].flows[0]}")
    sent = sorted(index for part in parts for index in part.index.tolist())
    assert sent == list(range(schedule.count(0, int((SECONDS + 0.5) * NS_PER_S))))
    row = cluster.row
    assert (row["ok"], row["lost"], row["dropped"]) == (row["scheduled"], 0, 0), cluster.said()
    assert [g["windows_missing"] for g in row["generators"]] == [0, 0, 0]
    [far] = [g for g in row["generators"] if g["host"] == "far"]
    assert 10 * NS_PER_MS <= far["clock_uncertainty_ns"] <= 100 * NS_PER_MS
    assert abs(far["clock_offset_ns"]) <= far["clock_uncertainty_ns"]  # it is one clock, in truth
    assert "clock_uncertain" in cluster.master.codes()
    [part] = [part for part in parts if part.worker[0] == far["worker"]]
    assert np.min(part.done_ns - part.sent_ns) >= 20 * NS_PER_MS


@pytest.mark.slow
def test_a_worker_is_cut_off_for_five_seconds(lab: Lab, tmp_path: Path) -> None:
    """It gets no more leases while it is away, and its share again afterwards; nothing is sent twice."""
    with lab.cluster(tmp_path / "run", 3, "-p", "16s", "--save-requests") as cluster:
        cluster.measuring(1)
        lab.hosts["worker1"].plug(connected=False)
        time.sleep(5)
        lab.hosts["worker1"].plug(connected=True)
        cluster.ended(0, 4, workers=[0, 1, 2])
    row = cluster.row
    assert row["scheduled"] == row["ok"] + row["failed"] + row["dropped"] + row["lost"]
    assert row["lost"] <= RATE / 3 * 10
    [away] = [g for g in row["generators"] if g["host"] == "worker1"]
    assert away["windows_missing"] == 0, cluster.said()
    parts = [saved(worker) for worker in cluster.workers]
    numbers = np.concatenate([part.index for part in parts])
    assert len(np.unique(numbers)) == len(numbers) > row["ok"], "an arrival was sent twice"
    [own] = [part.index for part in parts if part.worker[0] == away["worker"]]
    gap = np.max(np.diff(np.sort(own)))
    assert gap > RATE, "it was never away"
    # Of the last three seconds a third is its own, as before.
    assert np.count_nonzero(own > numbers.max() - 3 * RATE) > 0.8 * RATE, cluster.said()


def test_a_worker_that_cannot_reach_triton(lab: Lab, tmp_path: Path) -> None:
    """A joiner is named and sent home, the run goes on. Not enough at the start: the run does not, which is a
    fault of the environment and no invalid result."""
    lab.hosts["worker2"].unreachable(lab.hosts["triton"])
    with lab.cluster(tmp_path / "two", 2, "--wait-ready", "1s", "-p", "50s") as cluster:
        cluster.measuring(0)
        joiner = cluster.add(prefix=lab.hosts["worker2"].prefix)
        cluster.master.says(f"goes on without worker 2 (worker2, pid {joiner.process.pid}): ")
        assert joiner.wait(10) == 2
        cluster.measuring(2)
        cluster.master.signal(signal.SIGTERM)
        cluster.ended(0, 4, workers=[0, 1])
        assert "the master refuses this worker" in joiner.output
        assert len(cluster.row["generators"]) == 2
        assert cluster.row["lost"] == 0
    with lab.cluster(tmp_path / "three", 3, "--wait-ready", "1s") as cluster:
        assert cluster.master.wait() == 2, cluster.said()
        pid = cluster.workers[2].process.pid
        assert "the run cannot start: 2 of 3 workers are ready; worker " in cluster.master.output
        assert f"(worker2, pid {pid}): " in cluster.master.output, cluster.said()
        assert "What to do: see that every worker reaches the server" in cluster.master.output
        assert not list(cluster.master.results.glob("*"))
        for worker in cluster.workers:
            assert worker.wait(15) == 0, cluster.said()


@pytest.mark.slow
def test_enough_others_start_without_the_one_that_cannot_reach_triton(lab: Lab, tmp_path: Path) -> None:
    lab.hosts["worker2"].unreachable(lab.hosts["triton"])
    with lab.cluster(tmp_path / "run", 3, "--wait-ready", "1s", expect=2) as cluster:
        # Else the first two would start by themselves: so the master finds all three there at once.
        cluster.master.signal(signal.SIGSTOP)
        time.sleep(10)
        cluster.master.signal(signal.SIGCONT)
        cluster.ended(0, 4, workers=[0, 1])
        left_out = cluster.workers[2]
        assert left_out.wait(10) == 2
        assert "goes on without worker " in cluster.master.output, cluster.said()
        assert f"(worker2, pid {left_out.process.pid}): " in cluster.master.output, cluster.said()
        assert sorted(g["host"] for g in cluster.row["generators"]) == ["worker0", "worker1"]
        assert cluster.row["lost"] == 0


def test_workers_elsewhere_need_a_server_that_they_reach(usable_triton: None, tmp_path: Path) -> None:
    with hosts_of("master", "worker0") as hosts:
        master = hosts["master"]
        with Cluster(
            tmp_path,
            0,
            *("-m", "identity_16", "--request-rate-range", "50", *QUICK, "--wait-ready", "20s"),
            expect=1,
            address=master.address,
            prefix=master.prefix,
        ) as cluster:
            cluster.add(prefix=hosts["worker0"].prefix)
            assert cluster.master.wait() == 2, cluster.said()
            assert "worker0" in cluster.master.output
            assert "and give -H HOST:8001" in " ".join(cluster.master.output.split())
