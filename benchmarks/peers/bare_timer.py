"""What the machine itself does to a timer: no generator on it can be more exact than that.

The host of a virtual machine may hold a processor back for tens of milliseconds, mostly where a timer is set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.processes import Child

SCRIPT = Path(__file__).resolve().parents[1] / "timer_lag.py"


class BareTimer:
    """Poisson wake-ups at the case's rate, as long as the window of the others, while nothing else runs."""

    name = "bare_timer"

    def run(self, case: Case, bench: Bench) -> Measurement:
        timing = bench.timing
        argv = [sys.executable, str(SCRIPT), str(case.rate), str(timing.window_s), str(int(case.realtime))]
        with Child(argv, bench.folder / "log") as child:
            if not child.wait(timing.window_s + timing.end_s) or child.returncode != 0:
                raise PeerError(f"{self.name} did not end well: {child.last_lines}")
            found = json.loads(child.output)
        return Measurement(
            send_lag_p50_ns=found["p50_ns"], send_lag_p99_ns=found["p99_ns"], late_ratio=found["late_ratio"]
        )
