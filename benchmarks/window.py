"""Rate and CPU of a client over a window in the middle of its run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.measurement import Measurement, PeerError, Timing
from benchmarks.processes import Child
from triton_users.units import NS_PER_S

if TYPE_CHECKING:
    from benchmarks.server import Server

POLL_S = 0.05
US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Reading:
    """One look: monotonic ``at_ns``, Triton's success count and the time that it had those requests for, CPU
    seconds of the client's tree."""

    at_ns: int
    successes: int
    served_ns: int
    cpu_s: float


def read(server: Server, model: str, child: Child) -> Reading:
    """The count belongs to some instant during the call, so the middle of the call is taken."""
    before = time.monotonic_ns()
    successes, served_ns = server.served(model)
    cpu_s = child.cpu_s()
    return Reading((before + time.monotonic_ns()) // 2, successes, served_ns, cpu_s)


def between(first: Reading, last: Reading) -> Measurement:
    """Rate and CPU between two readings."""
    seconds = (last.at_ns - first.at_ns) / NS_PER_S
    requests = last.successes - first.successes
    if requests <= 0:
        raise PeerError("not one request succeeded within the window")
    cpu_s = last.cpu_s - first.cpu_s
    return Measurement(
        requests_per_s=requests / seconds,
        cpu_us_per_request=cpu_s * US_PER_S / requests,
        cores=cpu_s / seconds,
        server_mean_ns=(last.served_ns - first.served_ns) / requests,
    )


def rest(server: Server, child: Child, seconds: float, doing: str) -> None:
    """Wait, with an eye on both ends."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        server.check()
        if not child.alive:
            raise PeerError(f"it ended with {child.returncode} while {doing}: {child.last_lines}")
        time.sleep(min(left, POLL_S))


def await_first(server: Server, model: str, child: Child, before: int, timeout_s: float) -> None:
    """Until Triton has answered one request more than ``before``."""
    deadline = time.monotonic() + timeout_s
    while server.successes(model) <= before:
        if time.monotonic() > deadline:
            raise PeerError(f"no request succeeded within {timeout_s:.0f} s: {child.last_lines}")
        rest(server, child, POLL_S, "starting")


def observe(server: Server, model: str, child: Child, before: int, timing: Timing) -> Measurement:
    """Rate and CPU over ``timing.window_s``, begun ``timing.settle_s`` after the first answer.

    ``before`` is the success count from before the child was started.
    """
    await_first(server, model, child, before, timing.start_s)
    rest(server, child, timing.settle_s, "settling")
    first = read(server, model, child)
    rest(server, child, timing.window_s, "being measured")
    return between(first, read(server, model, child))
