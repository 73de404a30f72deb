"""Memory of our process tree at full speed: its growth in MB a minute."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.intervals import slope
from benchmarks.measurement import Bench, Case, Measurement
from benchmarks.peers.locust_command import ROOT
from benchmarks.peers.ours import Ours
from benchmarks.processes import Child
from benchmarks.window import await_first, between, read, rest

SAMPLE_S = 1.0
SETTLED = 0.25
"""The first quarter is left out: buffers and histograms still grow to their size."""
BYTES_PER_MB = 1e6


class Memory:
    name = "ours_memory"

    def run(self, case: Case, bench: Bench) -> Measurement:
        timing = replace(bench.timing, window_s=bench.timing.memory_s)
        longer = replace(bench, timing=timing)
        argv = Ours().command(case, longer, bench.folder / "results")
        before = bench.server.quiet(case.model)
        minutes, sizes = [], []
        with Child(argv, bench.folder / "log", cwd=ROOT) as child:
            await_first(bench.server, case.model, child, before, timing.start_s)
            rest(bench.server, child, timing.settle_s, "settling")
            first, begun_s = read(bench.server, case.model, child), time.monotonic()
            while (passed_s := time.monotonic() - begun_s) < timing.window_s:
                if passed_s > SETTLED * timing.window_s:
                    minutes.append(passed_s / 60)
                    sizes.append(child.rss_bytes() / BYTES_PER_MB)
                rest(bench.server, child, SAMPLE_S, "being measured")
            found = between(first, read(bench.server, case.model, child))
            child.wait(timing.end_s)
        return replace(found, rss_slope_mb_per_min=slope(minutes, sizes), rss_end_mb=sizes[-1])
