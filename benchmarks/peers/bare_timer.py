"""What the machine itself does to a timer: no generator on it can be more exact than that.

The host of a virtual machine may hold a processor back for tens of milliseconds, mostly where a timer is set;
and a server under load takes the processors that a timer is to wake one of.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measurement import Bench, Case, Measurement, PeerError, Timing
from benchmarks.payloads import input_of, write_body
from benchmarks.peers.h2load import command, parse_output
from benchmarks.processes import Child

SCRIPT = Path(__file__).resolve().parents[1] / "timer_lag.py"
IN_FLIGHT = 64
"""At most, of h2load's: enough for its rate on a slow machine."""
SETTLE_S = 1.0
REACHED = 0.95
"""Of the rate, what h2load must have kept up."""


class BareTimer:
    """Poisson wake-ups at the case's rate, as long as the window of the others, while nothing else runs.
    ``beside_load``: while h2load has the server answer as many requests a second."""

    def __init__(self, beside_load: bool = False) -> None:
        self.name = "bare_timer_beside_h2load" if beside_load else "bare_timer"
        self._beside_load = beside_load

    def run(self, case: Case, bench: Bench) -> Measurement:
        timing = bench.timing
        argv = [sys.executable, str(SCRIPT), str(case.rate), str(timing.window_s), str(int(case.realtime))]
        with ExitStack() as stack:
            load = stack.enter_context(self._load(case, bench)) if self._beside_load else None
            child = stack.enter_context(Child(argv, bench.folder / "log"))
            if not child.wait(timing.window_s + timing.end_s) or child.returncode != 0:
                raise PeerError(f"{self.name} did not end well: {child.last_lines}")
            if load is not None:
                self._check(load, case, timing)
            found = json.loads(child.output)
        return Measurement(
            send_lag_p50_ns=found["p50_ns"], send_lag_p99_ns=found["p99_ns"], late_ratio=found["late_ratio"]
        )

    @staticmethod
    def _check(load: Child, case: Case, timing: Timing) -> None:
        """The load outlasted the timer, and was as large as is said."""
        assert case.rate is not None
        if not load.alive:
            raise PeerError(f"h2load ended before the timer: {load.last_lines}")
        if not load.wait(timing.load_s + timing.end_s) or load.returncode != 0:
            raise PeerError(f"h2load did not end well: {load.last_lines}")
        if (reached := parse_output(load.output).requests_per_s) < REACHED * case.rate:
            raise PeerError(f"h2load reached {reached:,.0f}/s, not {case.rate:,}")

    @staticmethod
    def _load(case: Case, bench: Bench) -> Child:
        """h2load at the case's rate, under way, for longer than the timer runs."""
        assert case.rate is not None
        body = bench.folder / "body.bin"
        write_body(case, input_of(case, bench.server), body)
        bench.server.quiet(case.model)
        seconds = SETTLE_S + bench.timing.window_s + bench.timing.tail_s + 1
        argv = command(bench.server.address, body, int(case.rate * seconds), IN_FLIGHT, case.rate)
        child = Child(argv, bench.folder / "load.log")
        time.sleep(SETTLE_S)
        return child
