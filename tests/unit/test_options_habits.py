"""Perf Analyzer's short options that mean something else in Locust are told, Locust's own are left alone."""

# ruff: noqa: E501 - sentences that a user reads are asserted whole, one case a line

from __future__ import annotations

import pytest

from triton_users.options.habits import perf_analyzer_habits


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-u localhost:8001", "-u localhost:8001: -u is the number of users here; the server's address is --host localhost:8001"),
        ("-ulocalhost:8001", "-u localhost:8001: -u is the number of users here; the server's address is --host localhost:8001"),
        ("-u gpu1", "-u gpu1: -u is the number of users here; the server's address is --host gpu1"),
        ("-H Authorization:secret", "-H Authorization:…: -H is the server's address here (--host HOST:8001); request headers cannot be set, so leave it out"),
        ("-f out.csv", "-f out.csv: -f is the locustfile here; each run writes summary.csv into the folder --results"),
        ("-s 10%", "-s 10%: -s is --stop-timeout in seconds here; Perf Analyzer's --stability-percentage does not exist, so leave it out"),
        ("-s 10 --concurrency-range 1:4", "-s 10: -s is --stop-timeout in seconds here; Perf Analyzer's --stability-percentage does not exist, so leave it out"),
        ("-r 10 --concurrency-range 1:4", "-r 10: -r is how fast Locust starts the users of -u; Perf Analyzer's --max-trials does not exist here, so leave it out"),
        ("-l 100", "-l 100: -l lists the user classes here; the latency budget is --latency-threshold 100ms"),
        ("-l 1.5s", "-l 1.5s: -l lists the user classes here; the latency budget is --latency-threshold 1.5s"),
        ("-t 1:4", "-t 1:4: -t is --run-time here; concurrencies are --concurrency-range 1:4"),
        ("-i grpc", "-i grpc: gRPC is the only protocol here, so leave it out"),
        ("-i HTTP", "-i HTTP: requests go by gRPC only; leave it out and give the gRPC port with --host HOST:8001"),
    ],
)  # fmt: skip
def test_habits_of_perf_analyzer(line: str, message: str) -> None:
    assert perf_analyzer_habits(["-f", "any.py", *line.split()]) == [message]


@pytest.mark.parametrize(
    "line",
    [
        "-f any.py --headless -u 4 -r 2 -t 60 -H localhost:8001",
        "-u4 -t 5m -s 10 -l -H grpc://x -i",
        "-H [::1]:8001 -u",
        "-l --headless",
        "-H localhost --host http://a:1 -u=4",
        "-- -u localhost:8001",
        "-i x",
    ],
)
def test_locusts_own_meanings_stay(line: str) -> None:
    assert perf_analyzer_habits(line.split()) == []


def test_several_habits_are_told_together() -> None:
    line = "-m simple -s 10 -u localhost:8001 -i grpc -l 100 -f out.csv -r 5"
    told = [message[:2] for message in perf_analyzer_habits(line.split())]
    assert told == ["-s", "-u", "-i", "-l", "-f", "-r"]
