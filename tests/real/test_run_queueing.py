"""A queue whose every wait is known: one instance, a fixed service time, Poisson arrivals. What a run reports
must be what Lindley's recursion gives for the very arrivals that it sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import started
from tests.real.locust_process import LocustProcess, finish
from triton_users import demo
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.requests import read_requests
from triton_users.units import NS_PER_MS, NS_PER_S

SERVICE_NS = 40 * NS_PER_MS
"""Long enough that what a busy machine adds here and there stays far below the tolerance."""
TOLERANCE = 0.03


@pytest.fixture(scope="module")
def one_server(usable_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    folder = tmp_path_factory.mktemp("queueing")
    parameters = {"fixed_time": {"service_time_ns": str(SERVICE_NS)}}
    server = started(demo.build(folder, ["fixed_time"], parameters), folder / "server.log")
    yield server
    server.stop()


def lindley(arrivals_ns: npt.NDArray[np.int64], service_ns: float) -> npt.NDArray[np.float64]:
    """The wait of each request (ns) before one server that was idle, in the order of arrival."""
    waits = [0.0]
    for gap in np.diff(arrivals_ns).tolist():
        waits.append(max(0.0, waits[-1] + service_ns - gap))
    return np.array(waits)


def load(url: str, folder: Path, rate: float, distribution: str, seconds: int) -> LocustProcess:
    """A finished run of one step."""
    with LocustProcess(
        *(folder, "-H", url, "-m", "fixed_time", "--shape", "INPUT0:1", "--seed", "5", "--warm-up", "1s"),
        *("--request-rate-range", str(rate), "--request-distribution", distribution, "-p", f"{seconds}s"),
        "--save-requests",
    ) as run:
        return finish(run)


def service_ns(row: dict[str, Any]) -> int:
    """The mean time that Triton itself measured for the work on a request."""
    return sum(row["server"][f"compute_{part}_ns"] for part in ("input", "infer", "output"))


@pytest.mark.slow
@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
def test_waits_are_those_of_lindley(one_server: EmbeddedTriton, tmp_path: Path, utilisation: float) -> None:
    """At even gaps of 100 ms no request waits: what it takes beyond the service time is the path's own. (One
    in a closed loop would take less: nothing has fallen asleep when it comes.)"""
    [idle] = load(one_server.url, tmp_path / "idle", 10, "constant", 8).rows
    run = load(one_server.url, tmp_path / "busy", utilisation * NS_PER_S / service_ns(idle), "poisson", 15)
    [busy] = run.rows
    assert busy["ok"] == busy["scheduled"] > 80
    arrivals_ns = read_requests(run.folder).arrival_ns
    waits = lindley(arrivals_ns, service_ns(busy))
    path_ns = idle["latency_ns"]["mean"] - service_ns(idle)
    by_client = (busy["latency_ns"]["mean"] - service_ns(busy) - path_ns, waits[-busy["scheduled"] :].mean())
    by_triton = (busy["server"]["queue_ns"] - idle["server"]["queue_ns"], waits.mean())  # the warm-up too
    for who, (measured, expected) in {"client": by_client, "Triton": by_triton}.items():
        assert measured == pytest.approx(expected, rel=TOLERANCE), (
            f"at {utilisation:.0%} mean wait by the {who} {measured / NS_PER_MS:.3f} ms, by Lindley"
            f" {expected / NS_PER_MS:.3f} ms ({measured / expected - 1:+.1%}): service time"
            f" {service_ns(busy) / NS_PER_MS:.3f} ms, path {path_ns / NS_PER_MS:.3f} ms,"
            f" {len(arrivals_ns)} arrivals, {busy['scheduled']} of them measured"
        )
