"""What the peers print, as it was recorded from Perf Analyzer 2.49.0 and h2load 1.52.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measurement import PeerError
from benchmarks.peers.first_request import grpc_address
from benchmarks.peers.h2load import parse_output
from benchmarks.peers.ours import figures_of, summary_of
from benchmarks.peers.perf_analyzer import parse_csv

PERF_ANALYZER_CSV = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Server Cache Hit,Server Cache Miss,Client Recv,p50 latency,\
p90 latency,p95 latency,p99 latency,Avg latency,request/response,response wait
8,13161.2,2,0,3,32,3164,193,2,224,0,518,953,1135,2008,602,2,591
"""

H2LOAD_OUTPUT = """\
starting benchmark...
spawning thread #0: 1 total client(s). 20000 total requests
Application protocol: h2c
progress: 100% done

finished in 728.75ms, 27444.10 req/s, 3.68MB/s
requests: 20000 total, 20000 started, 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.68MB (2809989) total, 58.67KB (60075) headers (space savings 96.29%), 2.04MB (2140000) data
                     min         max         mean         sd        +/- sd
time for request:       65us     25.52ms       284us       553us    99.60%
time for connect:      176us       176us       176us         0us   100.00%
time to 1st byte:     1.38ms      1.38ms      1.38ms         0us   100.00%
req/s           :   27452.17    27452.17    27452.17        0.00   100.00%
"""


def test_perf_analyzers_microseconds_become_nanoseconds() -> None:
    assert parse_csv(PERF_ANALYZER_CSV) == {"mean_ns": 602_000, "p50_ns": 518_000, "p99_ns": 2_008_000}


@pytest.mark.parametrize("text", ["", PERF_ANALYZER_CSV.splitlines()[0]])
def test_a_perf_analyzer_that_measured_nothing_has_no_latencies(text: str) -> None:
    assert parse_csv(text) == {}


def test_h2loads_rate_count_and_mean() -> None:
    found = parse_output(H2LOAD_OUTPUT)

    assert (found.requests_per_s, found.succeeded, found.mean_ns) == (27444.10, 20000, 284_000)


@pytest.mark.parametrize(("written", "mean_ns"), [("1.04ms", 1_040_000), ("2.50s", 2.5e9)])
def test_h2load_changes_its_units(written: str, mean_ns: float) -> None:
    found = parse_output(H2LOAD_OUTPUT.replace("     284us", f"    {written}"))

    assert found.mean_ns == pytest.approx(mean_ns)


def test_an_h2load_that_could_not_connect_is_told() -> None:
    with pytest.raises(PeerError, match="cannot be read"):
        parse_output("starting benchmark...\nConnection refused\n")


def summary(**step: Any) -> dict[str, Any]:
    """A summary with one step, to the contract of schema 1."""
    times = {"mean": 300_000.5, "p50": 250_000, "p99": 900_000}
    given = {"mode": "closed", "latency_ns": times, "send_lag_ns": None, "sent": 1000, "late": 0}
    counts = {"failed": 0, "dropped": 0, "lost": 0}
    return {"schema": 1, "reasons": [], "steps": [{**given, **counts, **step}]}


def test_a_closed_loop_has_latencies_and_no_lag() -> None:
    found = figures_of(summary())

    assert found == {"mean_ns": 300_000.5, "p50_ns": 250_000, "p99_ns": 900_000, "notes": ()}


def test_an_open_loop_has_its_lag_and_the_share_of_late_requests() -> None:
    lag = {"mean": 40_000, "p50": 30_000, "p99": 150_000}

    found = figures_of(summary(mode="open", send_lag_ns=lag, late=3))

    assert (found["send_lag_p50_ns"], found["send_lag_p99_ns"], found["late_ratio"]) == (
        30_000,
        150_000,
        0.003,
    )


def test_failures_and_reasons_become_notes() -> None:
    told = summary(failed=2)
    told["reasons"] = [{"code": "LATE", "message": "the generator cannot keep up"}]

    assert figures_of(told)["notes"] == ("LATE: the generator cannot keep up", "2 failed, 0 dropped, 0 lost")


def test_the_one_summary_is_read_and_its_schema_checked(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="0 summaries"):
        summary_of(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary()))
    assert summary_of(tmp_path) == summary()
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"schema": 2}))
    with pytest.raises(PeerError, match="schema 2"):
        summary_of(tmp_path)


@pytest.mark.parametrize(
    ("command", "address"),
    [
        (["tritonserver", "--grpc-address=127.0.0.1", "--grpc-port=9001"], "127.0.0.1:9001"),
        (["tritonserver", "--grpc-port", "9001", "--http-port", "9000"], "127.0.0.1:9001"),
        (["tritonserver", "--http-port=9000"], None),
    ],
)
def test_the_servers_address_is_read_from_its_command_line(command: list[str], address: str | None) -> None:
    assert grpc_address(command) == address
