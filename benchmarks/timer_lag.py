"""The lag of bare wake-ups at Poisson instants, without request or server: what this machine does to a timer
whose process asks for what ours asks for.

python benchmarks/timer_lag.py RATE SECONDS REALTIME(0|1); one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import select
import sys
import time

from triton_users.run.realtime import short_slice

CLOCK_MONOTONIC = TFD_TIMER_ABSTIME = 1
NS_PER_S = 1_000_000_000
LATE_NS = 1_000_000
PRIORITY = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


def lags_ns(rate: float, seconds: float) -> list[int]:
    """How late each wake-up was, in ascending order."""
    libc = ctypes.CDLL(None)
    timer = libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK)
    epoll = select.epoll()
    epoll.register(timer, select.EPOLLIN)
    spec = _TimerSpec()
    pointer = ctypes.byref(spec)
    rng = random.Random(1)
    found = []
    at = time.monotonic_ns()
    end = at + int(seconds * NS_PER_S)
    while at < end:
        at += int(rng.expovariate(rate) * NS_PER_S) + 1
        if at > time.monotonic_ns():
            spec.value.seconds, spec.value.nanoseconds = divmod(at, NS_PER_S)
            libc.timerfd_settime(timer, TFD_TIMER_ABSTIME, pointer, None)
            epoll.poll(1.0)
        found.append(time.monotonic_ns() - at)
    return sorted(found)


def main(rate: str, seconds: str, realtime: str) -> None:
    if realtime == "1":
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    else:
        short_slice()
    lags = lags_ns(float(rate), float(seconds))
    late = sum(lag > LATE_NS for lag in lags)
    p50, p99 = (max(lags[int(q * len(lags))], 0) for q in (0.5, 0.99))
    print(json.dumps({"p50_ns": p50, "p99_ns": p99, "late_ratio": late / len(lags)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
