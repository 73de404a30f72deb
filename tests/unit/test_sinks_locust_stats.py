"""Locust's statistics agree with ours to the unit, also when seconds come late or again."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from locust.stats import RequestStats

from triton_users.sinks.locust_stats import LocustStats
from triton_users.stats.histogram import from_values
from triton_users.stats.lines import Line, line_of
from triton_users.stats.timeline import Timeline
from triton_users.stats.window import FAILED_LATENCY, LATENCY, Generator, Key, Series, Window
from triton_users.step import RequestClass
from triton_users.units import NS_PER_MS, NS_PER_S

SMALL = RequestClass("espcn", 1, (("IN", (1, 224, 224)),))
LARGE = RequestClass("espcn", 8, (("IN", (1, 224, 224)),))
SMALL_NAME, LARGE_NAME = "espcn b1 [1x224x224]", "espcn b8 [1x224x224]"


def series(latency_ms: float, ok: int, failed: int = 0, status: str = "INTERNAL") -> Series:
    hists = {LATENCY: from_values(np.full(ok, latency_ms * NS_PER_MS).astype(np.int64))}
    if failed:
        hists[FAILED_LATENCY] = from_values(np.full(failed, NS_PER_MS, np.int64))
    return Series(
        scheduled=ok + failed + 5, ok=ok, failed={status: failed} if failed else {}, dropped=5, hists=hists
    )


def window(second: int, worker: int, parts: dict[Key, Series], *messages: tuple[str, str, int]) -> Window:
    return Window(
        worker=worker,
        seq=second,
        second=second,
        step=0,
        start_ns=second * NS_PER_S,
        end_ns=(second + 1) * NS_PER_S,
        series=parts,
        in_flight_start=0,
        in_flight_end=0,
        users=1,
        generator=Generator(0.1, 0, 0, 0),
        messages=messages,
    )


def line(second: int, parts: dict[Key, Series], *messages: tuple[str, str, int]) -> Line:
    (found,) = Timeline().add(window(second, 0, parts, *messages))
    return found


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    started = int(time.time()) - 20  # Locust compares with its own clock
    monkeypatch.setattr("triton_users.sinks.locust_stats.wall_ns", lambda: (started + 1) * NS_PER_S)
    stats = RequestStats()
    stats.total.start_time = float(started)
    return SimpleNamespace(stats=stats)


def test_rows_and_total_are_complete(environment: Any) -> None:
    sink = LocustStats(environment)
    for second in range(20):
        sink.add(
            line(
                second,
                {
                    Key("flow", SMALL, -1 if second < 2 else 0): series(15.25, 50),
                    Key("flow", LARGE, 0): series(150, 10, failed=2),
                    Key("other", SMALL, 0): series(15.25, 1),
                },
                ("INTERNAL", "model broke", 2),
            )
        )
    stats = environment.stats
    small, large = stats.get(SMALL_NAME, "gRPC"), stats.get(LARGE_NAME, "gRPC")
    assert set(stats.entries) == {(SMALL_NAME, "gRPC"), (LARGE_NAME, "gRPC")}
    assert (small.num_requests, small.num_failures) == (20 * 51, 0)
    assert (large.num_requests, large.num_failures) == (20 * 12, 20 * 2)
    assert (stats.total.num_requests, stats.total.num_failures) == (20 * 63, 40)
    assert sum(stats.total.num_reqs_per_sec.values()) == 20 * 63
    assert len(stats.total.num_reqs_per_sec) == 20
    assert stats.total.current_rps == pytest.approx(63)
    assert stats.total.total_rps == pytest.approx(63)
    assert small.avg_response_time == pytest.approx(15.25)
    assert (small.min_response_time, small.max_response_time) == (15.25, 15.25)
    assert small.get_response_time_percentile(0.5) == 15  # of 15.25: two digits
    assert stats.total.get_current_response_time_percentile(0.5) == 15
    (error,) = stats.errors.values()
    assert (error.name, error.error, error.occurrences) == (LARGE_NAME, "INTERNAL: model broke", 40)
    assert error.first_seen < error.last_seen


def test_a_later_revision_adds_only_what_is_new(environment: Any) -> None:
    sink, timeline = LocustStats(environment), Timeline()
    key = Key("flow", SMALL, 0)
    for worker in range(3):
        parts = {key: series(10 * (worker + 1), 10, failed=worker)}
        for found in timeline.add(window(0, worker, parts, ("INTERNAL", f"of {worker}", worker))):
            sink.add(found)
    entry = environment.stats.get(SMALL_NAME, "gRPC")
    assert (entry.num_requests, entry.num_failures) == (33, 3)
    assert sum(entry.response_times.values()) == 33
    assert (entry.min_response_time, entry.max_response_time) == (1.0, 30.0)
    assert entry.total_response_time == pytest.approx(10 * (10 + 20 + 30) + 3)
    assert sum(error.occurrences for error in environment.stats.errors.values()) == 3


def test_the_same_line_twice_counts_once(environment: Any) -> None:
    sink = LocustStats(environment)
    found = line(0, {Key("flow", SMALL, 0): series(10, 10)})
    sink.add(found)
    sink.add(found)
    assert environment.stats.total.num_requests == 10


def test_a_new_start_in_the_web_page_begins_at_zero(environment: Any) -> None:
    sink = LocustStats(environment)
    sink.add(line(0, {Key("flow", SMALL, 0): series(10, 10)}))
    environment.stats.clear_all()
    sink.add(line(1, {Key("flow", SMALL, 0): series(10, 7)}))
    assert environment.stats.total.num_requests == 7


def test_messages_of_several_classes_are_not_guessed(environment: Any) -> None:
    sink = LocustStats(environment)
    parts = {Key("flow", SMALL, 0): series(10, 5, failed=2), Key("flow", LARGE, 0): series(10, 5, failed=1)}
    sink.add(line(0, parts, ("INTERNAL", "one", 2), ("INTERNAL", "two", 1)))
    found = {(error.name, error.error, error.occurrences) for error in environment.stats.errors.values()}
    assert found == {(SMALL_NAME, "INTERNAL", 2), (LARGE_NAME, "INTERNAL", 1)}


def test_several_messages_of_one_class_each_have_their_count(environment: Any) -> None:
    sink = LocustStats(environment)
    parts = {Key("flow", SMALL, 0): series(10, 5, failed=3)}
    sink.add(line(0, parts, ("INTERNAL", "one", 2), ("INTERNAL", "two", 1)))
    found = {(error.error, error.occurrences) for error in environment.stats.errors.values()}
    assert found == {("INTERNAL: one", 2), ("INTERNAL: two", 1)}


def test_failures_without_a_time_do_not_shift_percentiles(environment: Any) -> None:
    sink = LocustStats(environment)
    parts = {Key("flow", SMALL, 0): Series(ok=4, failed={"NO_ANSWER": 4}, hists=series(10, 4).hists)}
    sink.add(line(0, parts))
    entry = environment.stats.get(SMALL_NAME, "gRPC")
    assert (entry.num_requests, entry.num_failures, entry.num_none_requests) == (8, 4, 4)
    assert entry.get_response_time_percentile(0.99) == pytest.approx(10, abs=0.1)


def test_old_seconds_are_forgotten(environment: Any) -> None:
    sink = LocustStats(environment)
    for second in range(400):
        sink.add(line_of((0, second), 0, {}, [{**_generator(second)}], []))
    assert len(sink._folded) <= 301


def _generator(second: int) -> dict[str, int]:
    return {
        "worker": 0,
        "seq": second,
        "start_ns": second * NS_PER_S,
        "end_ns": (second + 1) * NS_PER_S,
        "in_flight_end": 0,
        "users": 0,
    }
