"""What workers cost their master: simulated workers that speak Locust's real protocol to a real master.

    .venv/bin/python -m benchmarks.many_workers [--workers 100] [--rate-each 1000] [--seconds 15] [--profile]

Each simulated worker is a DEALER socket of its own that says what a real one says: Locust's ready and
heartbeats, our hello, beats, windows and done. No load is sent to the server. A window is as large as a real
worker's, and that grows with what it has sent: 1 kB at 100 requests, 8 at 1,000, 21 at 5,000.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import locust
import msgpack
import numpy as np
import psutil
import zmq
import zmq.asyncio

from triton_users.run import protocol as p
from triton_users.run.answer import LONGEST_NS, Answer, Owed
from triton_users.schedule import Arrivals, Schedule, fingerprint
from triton_users.stats.cell import Cell
from triton_users.stats.codec import encode as encode_window
from triton_users.stats.histogram import Accumulator
from triton_users.stats.trials import TrialAxis
from triton_users.stats.window import Generator, Key, Series, Window
from triton_users.step import Lease, Step
from triton_users.units import NS_PER_S
from triton_users.version import VERSION

ROOT = Path(__file__).parents[1]
LOCUSTFILE = ROOT / "locustfiles/any.py"
RATE_EACH = 1000
"""Requests a second, what decides how large a window is."""
GATED = 100
GOAL_MS = 1.0
"""Of the master's CPU per worker and second, with GATED workers."""
PROFILE = "import pstats, sys; pstats.Stats(sys.argv[1]).sort_stats('tottime').print_stats(25)"


# All simulated workers ask for the same spans of one schedule, of which each takes its part.
schedule_of = lru_cache(maxsize=1)(Schedule)


@lru_cache(maxsize=8)
def arrivals(schedule: Schedule, from_ns: int, until_ns: int) -> Arrivals:
    return schedule.arrivals(from_ns, until_ns)


class SimulatedWorker:
    """Answers as a worker does that sends everything at once and has every answer after a millisecond."""

    def __init__(self, context: zmq.asyncio.Context, address: str, number: int, digest: str) -> None:
        self.node = f"simulated_{number:04}_{os.getpid()}"
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self.node.encode())
        self._socket.connect(address)
        self._digest = digest
        self._number = number
        self._run = ""
        self._place = self._seed = 0
        self._step: Step | None = None
        self._begin: p.StepBegin | None = None
        self._leases: list[Any] = []
        self._came: list[Any] = []
        """All leases of the step."""
        self._seq = 0
        self.window_bytes = 0
        self._pool: list[Accumulator] = []
        self._unacked: dict[int, float] = {}
        self.ack_s: list[float] = []
        self._prepared = self._begun = -1
        self._answer = Answer()
        self._random = np.random.default_rng(number)
        self.quit = asyncio.Event()

    async def say(self, kind: str, data: Any) -> None:
        await self._socket.send(msgpack.packb((kind, data, self.node)))

    async def up(self, *messages: Any) -> None:
        """With the answer that waits for company, as a worker does."""
        await self._send_all(self._answer.take(), *messages)

    async def _send_all(self, due: Iterable[Owed], *messages: Any) -> None:
        now = time.monotonic_ns()
        beats = [owed.beat(now, self._run, self._prepared, self._begun) for owed in due]
        if beats or messages:
            await self.say(p.UP, p.encode(*beats, *messages))

    async def _granted(self, sent_ns: int) -> None:
        now, cut_ns = time.monotonic_ns(), None
        if self._begin is not None:
            cut_ns = now + NS_PER_S - (now - self._begin.zero_ns) % NS_PER_S
        owed = Owed(sent_ns, now)
        await self._send_all(self._answer.granted(owed, cut_ns))
        if self._answer.waiting is owed:
            self._alone = asyncio.create_task(self._answer_alone(owed))

    async def _answer_alone(self, owed: Owed) -> None:
        await asyncio.sleep(LONGEST_NS / NS_PER_S)
        await self._send_all(self._answer.late(owed))

    async def live(self) -> None:
        """From the first word to Locust's quit."""
        await self.say("client_ready", locust.__version__)
        tasks = [asyncio.create_task(one) for one in (self._locust(), self._windows(), self._hear())]
        await self.quit.wait()
        for task in tasks:
            task.cancel()
        self._socket.close(0)

    async def _locust(self) -> None:
        """Locust's own heartbeat, once a second."""
        state = {"state": "running", "current_cpu_usage": 5.0, "current_memory_usage": 10**8}
        await asyncio.sleep(self._number % 100 / 100)
        while True:
            await self.say("heartbeat", state | {"state": "ready" if self._begun < 0 else "running"})
            await asyncio.sleep(1)

    async def _hear(self) -> None:
        while True:
            kind, data, _ = msgpack.unpackb(await self._socket.recv(), strict_map_key=False)
            if kind == "ack":
                hello = p.Hello(
                    VERSION, fingerprint(0), self._digest, socket.gethostname(), self._number, "127.0.0.1"
                )
                await self.up(hello)
            elif kind == "spawn":
                counts = data["user_classes_count"]
                await self.say("spawning", None)
                total = sum(counts.values())
                await self.say("spawning_complete", {"user_classes_count": counts, "user_count": total})
            elif kind == p.DOWN:
                for message in p.decode(data):
                    await self._told(message)
            elif kind == "quit":
                self.quit.set()

    async def _told(self, message: Any) -> None:
        match message:
            case p.RunStart(run, _, seed, _, place):
                self._run, self._seed, self._place = run, seed, place
            case p.StepPrepare(step) if step.index > self._prepared:
                self._step, self._prepared = step, step.index
                await self.up(p.Ready(self._run, step.index))
            case p.StepBegin(step) if step > self._begun:
                self._begin, self._begun = message, step
            case p.Grant(leases, sent_ns, _, acks):
                self.ack_s += [time.monotonic() - self._unacked[seq] for seq in acks]
                await self._granted(sent_ns)
                self._leases += leases
                self._came += leases
            case p.StepEnd(step):
                if self._begin is not None:
                    await self._cut(time.monotonic_ns())
                    stopped = time.monotonic_ns() - self._begin.zero_ns
                    self._begin = None
                    came, self._came = tuple(self._came), []
                    await self.up(p.Done(self._run, step, self._seq - 1, stopped, leases=came))
                else:
                    await self.up(p.Done(self._run, step, self._seq - 1, 0))

    # Windows

    async def _windows(self) -> None:
        while True:
            now = time.monotonic_ns()
            zero = self._begin.zero_ns if self._begin is not None else 0
            await asyncio.sleep((NS_PER_S - (now - zero) % NS_PER_S) / NS_PER_S + 0.002)
            if self._begin is not None:
                now = time.monotonic_ns()
                await self._cut(now - (now - self._begin.zero_ns) % NS_PER_S)

    async def _cut(self, now: int) -> None:
        """What the leases hold up to ``now``, in one window."""
        begin, step = self._begin, self._step
        assert begin is not None and step is not None
        second = (now - 1 - begin.zero_ns) // NS_PER_S
        window = Window(
            worker=self._place,
            seq=self._seq,
            second=second,
            step=step.index,
            start_ns=second * NS_PER_S,
            end_ns=now - begin.zero_ns,
            series=self._measured(begin, step, now),
            in_flight_start=0,
            in_flight_end=0,
            users=0,
            generator=Generator(0.2, 100_000, 0, 0),
            messages=(),
        )
        packed = encode_window(window)
        self.window_bytes += len(packed)
        self._unacked[self._seq] = time.monotonic()
        await self.up(p.WindowSent(self._run, self._seq, packed))
        self._seq += 1

    def _measured(self, begin: p.StepBegin, step: Step, now: int) -> dict[Key, Series]:
        """Series of all arrivals due by now, with latencies as spread as a real server's."""
        [flow] = step.flows
        assert flow.rate is not None
        cls = flow.classes[0][0]
        t0 = begin.zero_ns + begin.t0_ns
        schedule = schedule_of(flow.process, flow.rate, self._seed, f"{step.index}/{flow.name}")
        due, later = [np.empty(0, np.int64)], []
        for lease in self._leases:
            end = min(lease.until_ns, max(now - t0, lease.from_ns))
            if len((found := arrivals(schedule, lease.from_ns, end)).index):
                due.append(found.offset_ns[(lease.k - found.index[0]) % lease.n :: lease.n])
            if lease.until_ns > end:
                later.append(Lease(lease.step, end, lease.until_ns, lease.k, lease.n))
        self._leases = later
        owned = np.concatenate(due) + t0
        trials = TrialAxis(step, t0).trials(owned)
        measured = {}
        for trial in np.unique(trials).tolist():
            at = owned[trials == trial]
            sent = at + self._random.gamma(4, 20_000, len(at)).astype(int)
            done = sent + self._random.lognormal(14, 0.5, len(at)).astype(int)
            cell = Cell(self._pool)
            cell.counts["scheduled"] = cell.completed = len(at)
            cell.add_ok(np.stack((done - at, done - sent, sent - at)))
            measured[Key(flow.name, cls, trial)] = cell.cut(cls.batch_size)
        return measured


class Master:
    """A real ``locust --master`` with a Triton of its own, and its CPU as it goes."""

    def __init__(self, folder: Path, workers: int, seconds: int, port: int, profile: bool, each: int) -> None:
        self.out = folder / "output.txt"
        program = [sys.executable, *(["-m", "cProfile", "-o", str(folder / "profile")] if profile else [])]
        command = [
            *program, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "-m", "identity_16", "--no-agent",
            "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port),
            "--expect-workers", str(workers), "--request-rate-range", str(each * workers),
            "--warm-up", "2s", "-p", f"{seconds}s", "--max-in-flight", str(max(1024, 8 * workers)),
        ]  # fmt: skip
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        self.folder = folder
        self.lines: list[tuple[float, str]] = []
        self.cpu: list[tuple[float, float]] = []

    async def watch(self) -> None:
        """CPU and the console, as they go, to its end."""
        seen = ""
        process = psutil.Process(self.process.pid)
        self.memory = 0
        while self.process.poll() is None:
            times = process.cpu_times()
            self.cpu.append((time.monotonic(), times.user + times.system))
            self.memory = max(self.memory, process.memory_info().rss)
            text = self.out.read_text(errors="replace")
            self.lines += [(time.monotonic(), line) for line in text[len(seen) :].splitlines()]
            seen = text
            await asyncio.sleep(0.1)

    def cpu_share(self) -> float:
        """Processor seconds per second while it measured."""
        said = [at for at, line in self.lines if " measuring " in line]
        inside = [(at, cpu) for at, cpu in self.cpu if said and said[0] <= at <= said[-1]]
        if len(inside) < 2:
            raise SystemExit(f"only {len(said)} lines of progress:\n{self.out.read_text()}")
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    def console_lag_s(self) -> float:
        """The longest between two lines of progress, beyond the second that is meant."""
        said = [at for at, line in self.lines if " measuring " in line]
        return max(later - at for at, later in itertools.pairwise(said)) - 1


async def measure(workers: int, seconds: int, profile: bool, each: int) -> dict[str, Any]:
    """Run it once."""
    digest = sha256(LOCUSTFILE.read_bytes()).hexdigest()[:16]
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        master = Master(Path(name), workers, seconds, port, profile, each)
        watching = asyncio.create_task(master.watch())
        context = zmq.asyncio.Context(io_threads=1)
        all_ = [SimulatedWorker(context, f"tcp://127.0.0.1:{port}", n, digest) for n in range(workers)]
        lives = [asyncio.create_task(worker.live()) for worker in all_]
        await watching
        for life in lives:
            life.cancel()
        context.destroy(0)
        found = list(Path(name).glob("results/*/summary.json"))
        if not found:
            raise SystemExit(master.out.read_text())
        [row] = json.loads(found[0].read_text())["steps"]
        if profile:
            subprocess.run([sys.executable, "-c", PROFILE, f"{name}/profile"], check=True)
        acks = [seconds for worker in all_ for seconds in worker.ack_s]
        share = master.cpu_share()
        return {
            "workers": workers,
            "cpu_share": round(share, 3),
            "cpu_ms_per_worker_second": round(1000 * share / workers, 3),
            "memory_mb": round(master.memory / 1e6),
            "console_lag_s": round(master.console_lag_s(), 2),
            "window_bytes": round(
                sum(worker.window_bytes for worker in all_) / sum(len(worker.ack_s) for worker in all_)
            ),
            "windows": sum(g["windows"] for g in row["generators"]),
            "windows_missing": sum(g["windows_missing"] for g in row["generators"]),
            "ack_p99_s": round(statistics.quantiles(acks, n=100)[98], 2),
            "lost": row["lost"],
            "unaccounted": row["scheduled"] - row["ok"] - row["failed"] - row["dropped"] - row["lost"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rate-each", type=int, default=RATE_EACH, help="requests per second and worker")
    parser.add_argument("--profile", action="store_true", help="print where the master's time goes")
    options = parser.parse_args()
    found = asyncio.run(measure(options.workers, options.seconds, options.profile, options.rate_each))
    print(json.dumps(found, indent=2))
    if options.workers == GATED:
        good = (
            found["cpu_ms_per_worker_second"] <= GOAL_MS
            and not found["windows_missing"]
            and not found["lost"]
        )
        print("goal met" if good else f"goal missed: {GOAL_MS:g} ms per worker and second, no window lost")
        raise SystemExit(not good)


if __name__ == "__main__":
    main()
