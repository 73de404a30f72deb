"""A load in a process that a test can stop: ``python -m tests.fakes.stalled_load URL open|closed``.

Prints "begun" at t0, and at its end one line of JSON: the totals, how many requests took long by latency, by
service latency, and to be sent, and for how long (ms) none of those in flight ended. The ledger is held here.
"""

from __future__ import annotations

import json
import statistics
import sys

import triton_users  # noqa: F401  (it brings Locust, which patches sockets)
from tests.rig import Rig, flow, poisson, step
from triton_users.stats.histogram import lowest_at
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, Window
from triton_users.units import NS_PER_MS

SECONDS = 3.5
RATE = 1000.0
SLOTS = 8
LONG_NS, HALF_NS = 100 * NS_PER_MS, 500 * NS_PER_MS


def above(windows: list[Window], name: str, limit_ns: int) -> list[int]:
    """The values of a histogram above a limit (ns)."""
    found: list[int] = []
    for window in windows:
        for series in window.series.values():
            hist = series.hists.get(name)
            if hist is not None:
                for index, count in zip(hist.index.tolist(), hist.count.tolist(), strict=True):
                    found += [lowest_at(index)] * (count if lowest_at(index) > limit_ns else 0)
    return found


def middle(values: list[int]) -> int:
    """Where between LONG_NS and the longest their median lies, in percent: evenly spread ones have it in the
    middle."""
    if not values:
        return -1
    return round(100 * (statistics.median(values) - LONG_NS) / (max(values) - LONG_NS))


def unanswered_ms(window: Window) -> int:
    start_ns, end_ns = window.unanswered_ns or (0, 0)
    return (end_ns - start_ns) // NS_PER_MS


def main(url: str, mode: str) -> None:
    one = flow() if mode == "closed" else poisson(RATE)
    with Rig(url, cap=4096) as rig:  # a second's arrivals, and some to spare
        load = step(one, interval=SECONDS)
        rig.begin(load, SLOTS)
        for quarter in range(int(4 * SECONDS)):
            rig.lease(quarter / 4, (quarter + 1) / 4)
        rig.at(0)
        print("begun", flush=True)
        rig.at(SECONDS)
        windows, totals = rig.end(scheduled=rig.planned(load, 0, SECONDS))
        latency = above(windows, LATENCY, LONG_NS)
        figures = {
            **totals,
            "latency": len(latency),
            "latency_upper_half": len(above(windows, LATENCY, HALF_NS)),
            "latency_middle": middle(latency),
            "service_latency": len(above(windows, SERVICE_LATENCY, LONG_NS)),
            "service_upper_half": len(above(windows, SERVICE_LATENCY, HALF_NS)),
            "send_lag": len(above(windows, SEND_LAG, LONG_NS)),
            "unanswered_ms": max(unanswered_ms(window) for window in windows),
        }
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
