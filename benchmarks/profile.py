"""Where the processor time of a request goes: python -m benchmarks.profile [--only closed-1].

Runs each case's load under `perf record` (Debian package linux-perf; root, or kernel.perf_event_paranoid -1)
and prints, for every request, the system calls and the µs by place: the kernel's own two dearest, the wake-up
of the server's thread and the switch between tasks, apart. `perf`'s own cost is in the figures.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cases import chosen
from benchmarks.machine import describe
from benchmarks.measurement import Bench, Case, Timing
from benchmarks.payloads import input_of, write_settings
from benchmarks.peers.locust_command import ROOT
from benchmarks.peers.ours import Ours
from benchmarks.processes import Child
from benchmarks.server import Server
from benchmarks.window import await_first, between, read, rest

SETTLE_S, WATCHED_S, PERF_S = 2.0, 5.0, 15.0
CALLS = ("epoll_wait", "getpid", "recvfrom", "sendto", "sendmsg", "timerfd_settime", "read", "write", "futex")
FREQUENCY = "4999"

PLACES: Sequence[tuple[str, str]] = (
    ("kernel: waking the server's thread", r"\[k\] _raw_spin_unlock_irqrestore"),
    ("kernel: the switch between tasks", r"\[k\] finish_task_switch"),
    ("kernel: the rest", r"\[k\]"),
    ("libpython", r"libpython|python3"),
    ("gevent's loop", r"corecext|gevent|greenlet"),
    ("numpy", r"numpy|multiarray|umath"),
    ("libc and the rest", r""),
)
"""Name and pattern, the first that matches a line of the report."""


@dataclass
class Profile:
    """Of one load: µs of the process tree for a request by place, and calls for a request."""

    name: str
    requests_per_s: float
    cpu_us: float
    shares: dict[str, float] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)


def perf(*arguments: str) -> str:
    """Its output of both kinds. Raises SystemExit where it is absent or not allowed."""
    try:
        done = subprocess.run(
            ["perf", *arguments], capture_output=True, text=True, check=True, timeout=PERF_S + WATCHED_S
        )
    except FileNotFoundError:
        raise SystemExit("perf is not installed (Debian package linux-perf)") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"perf: {error.stderr.strip()}") from None
    return done.stdout + done.stderr


def watch(pid: int, requests_per_s: float, cpu_us: float, name: str, folder: Path) -> Profile:
    """A load that runs already, for a few seconds."""
    events = ",".join(f"syscalls:sys_enter_{call}" for call in CALLS)
    of_it = ("-p", str(pid), "--", "sleep", f"{WATCHED_S / 2:g}")
    counted = perf("stat", "-x,", "-e", events, *of_it)
    data = str(folder / "perf.data")
    perf("record", "-q", "-F", FREQUENCY, "-e", "cpu-clock", "-o", data, *of_it)
    found = Profile(name, requests_per_s, cpu_us)
    for line in counted.splitlines():
        columns = line.split(",")
        if len(columns) > 2 and columns[0].isdigit():
            count = int(columns[0]) / (WATCHED_S / 2) / requests_per_s
            found.calls[columns[2].removeprefix("syscalls:sys_enter_")] = count
    for line in perf("report", "--stdio", "-i", data, "--sort", "dso,symbol").splitlines():
        if share := re.match(r"\s+([\d.]+)%\s", line):
            place = next(name for name, pattern in PLACES if re.search(pattern, line))
            found.shares[place] = found.shares.get(place, 0.0) + float(share[1]) / 100
    return found


def profile(case: Case, peer: Ours, server: Server, folder: Path) -> Profile:
    """One load of its own, watched in the middle."""
    folder.mkdir()
    bench = Bench(server, folder, Timing(settle_s=SETTLE_S, window_s=3 * WATCHED_S + PERF_S))
    environment = write_settings(case, input_of(case, server), folder / "case.json")
    before = server.quiet(case.model)
    command = peer.command(case, bench, folder / "results")
    with Child(command, folder / "log", environment, ROOT) as child:
        await_first(server, case.model, child, before, bench.timing.start_s)
        rest(server, child, SETTLE_S, "settling")
        first = read(server, case.model, child)
        rest(server, child, WATCHED_S, "being measured")
        found = between(first, read(server, case.model, child))
        assert found.requests_per_s is not None and found.cpu_us_per_request is not None
        return watch(
            child.pid, found.requests_per_s, found.cpu_us_per_request, f"{case.name} {peer.name}", folder
        )


def told(found: Profile) -> list[str]:
    lines = [
        f"{found.name}: {found.requests_per_s:,.0f} requests/s, {found.cpu_us:.1f} µs of processor time each"
    ]
    lines += [f"  {found.cpu_us * found.shares.get(place, 0.0):5.1f} µs  {place}" for place, _ in PLACES]
    calls = ", ".join(f"{count:.2f} {name}" for name, count in found.calls.items() if count >= 0.005)
    return [*lines, f"  system calls: {calls} (fewer than without perf, which slows them)"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--only", default="closed-1,closed-8", help="cases, comma-separated")
    cases = chosen(parser.parse_args().only)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder / "server", tuple({case.model for case in cases}))
        server.start()
        try:
            for case in cases:
                for peer in (Ours(), Ours(tasks=True)):
                    found = profile(case, peer, server, folder / f"{case.name}-{peer.name}")
                    print("\n".join(told(found)), flush=True)
            print("\n".join(f"{key}: {value}" for key, value in describe(server.version).items()))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
