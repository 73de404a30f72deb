"""The command line: run the rounds, print the table, write the result."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import machine, report
from benchmarks.cases import chosen
from benchmarks.measurement import Case, Peer, Timing
from benchmarks.peers.bare_timer import BareTimer
from benchmarks.peers.first_request import FirstRequest
from benchmarks.peers.h2load import H2load
from benchmarks.peers.memory import Memory
from benchmarks.peers.monitored import Monitored, Unmonitored, influxd
from benchmarks.peers.ours import Ours
from benchmarks.peers.perf_analyzer import PerfAnalyzer
from benchmarks.peers.perf_analyzer_install import install
from benchmarks.peers.tritonclient_gevent import TritonclientGevent
from benchmarks.rounds import Results, Runner, jobs
from benchmarks.server import Server, ServerDeathError

ROOT = Path(__file__).resolve().parents[1]
FULL = Timing(settle_s=2.0, window_s=4.0)
QUICK = Timing(settle_s=1.0, window_s=1.5, memory_s=15.0)
INTERRUPTED = 130


def say(line: str) -> None:
    print(line, flush=True)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, help="rounds of all peers (default 7; 6 is the least for 95 %%)"
    )
    parser.add_argument("--only", help="cases, comma-separated")
    parser.add_argument("--peers", help="peers, comma-separated (default: all)")
    parser.add_argument("--quick", action="store_true", help="2 rounds with short windows, for development")
    parser.add_argument("--name", help="of the result files (default: bench or quick)")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="folder")
    found = parser.parse_args(argv)
    found.rounds = found.rounds or (2 if found.quick else 7)
    if found.rounds < 1:
        parser.error("--rounds must be 1 at least")
    found.name = found.name or ("quick" if found.quick else "bench")
    try:
        found.cases = chosen(found.only)
    except ValueError as error:
        parser.error(str(error))
    return found


def peers(wanted: str | None, cases: tuple[Case, ...]) -> dict[str, Peer]:
    """By name; only those that a case asks for, so that nothing is downloaded in vain."""
    needed = {peer for case in cases for peer in case.peers}
    if wanted is not None:
        needed &= {name.strip() for name in wanted.split(",")}
    there: list[Peer] = [
        *(Ours(), Ours(tasks=True), TritonclientGevent(), BareTimer(), Memory(), FirstRequest())
    ]
    if any(name.startswith("perf_analyzer") for name in needed):
        binary, libraries = install(ROOT / ".cache")
        there += [PerfAnalyzer(binary, libraries, asynchronous) for asynchronous in (False, True)]
    if H2load.available():
        there += [H2load(), BareTimer(beside_load=True)]
    elif any("h2load" in name for name in needed):
        say("h2load is not installed (Debian package nghttp2-client): left out")
    if "ours_monitored" in needed:
        try:
            there += [Monitored(influxd()), Unmonitored()]
        except RuntimeError as error:
            say(f"{error}: what monitoring costs is left out")
    return {peer.name: peer for peer in there if peer.name in needed}


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(options: argparse.Namespace, folder: Path) -> int:
    """One bench in ``folder``; whatever was measured is written, also when it was cut short."""
    begun_s, date = time.monotonic(), datetime.now(UTC)
    contenders = peers(options.peers, options.cases)
    work = jobs(options.cases, options.rounds, contenders)
    server = Server(folder / "server", tuple(sorted({case.model for case in options.cases})))
    results = Results(options.rounds)
    code = 0
    try:
        server.start()
        facts = machine.describe(server.version)
        say(f"Triton {facts['Triton']} at {server.address}; {len(work)} measurements")
        Runner(server, contenders, QUICK if options.quick else FULL, folder, say).run(work, results)
    except KeyboardInterrupt:
        code = INTERRUPTED
        say("interrupted: the result holds what was measured")
    except ServerDeathError as death:
        code = 1
        say(f"given up: {death}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # what follows is short, and must write the result
            signal.signal(number, signal.SIG_IGN)
        server.stop()
    about: dict[str, Any] = {
        "date": date.isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "quick": options.quick,
        "minutes": (time.monotonic() - begun_s) / 60,
    }
    if results.found:
        stem = report.place(options.results, f"{date:%Y-%m-%d}", options.name)
        say("\n" + report.write(stem, results, facts, about))
        say(f"written: {stem}.md and .json")
    return code


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    signal.signal(signal.SIGTERM, interrupt)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return run(options, Path(folder))
