"""The plan, and the plain lines while load runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from triton_users.report.progress import WIDTH, phase, plan_lines, progress_line
from triton_users.stats.histogram import from_values
from triton_users.stats.lines import Line, line_of
from triton_users.stats.window import LATENCY, SEND_LAG, WARM_UP, Hist, Key, Series
from triton_users.step import POISSON, Flow, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

STEP = Step(2, "batch 8, concurrency 4", (), 2 * NS_PER_S, 5 * NS_PER_S)


OPEN = replace(STEP, name="40.0/s", flows=(Flow("flow", "User", "espcn", POISSON, 40.0, None, ()),))


def line(step: int, hists: Mapping[str, Hist] | None = None, **counts: Any) -> Line:
    generator = {
        "worker": 0,
        "seq": 1,
        "start_ns": NS_PER_S,
        "end_ns": 2 * NS_PER_S,
        "in_flight_end": 4,
        "users": 4,
    }
    hist = from_values(np.full(40, 16 * NS_PER_MS, np.int64))
    cls = RequestClass("espcn", 8)
    series = {
        Key("flow", cls, WARM_UP): Series(ok=20, hists={LATENCY: hist}),
        Key("flow", cls, 0): Series(ok=20, hists={LATENCY: hist} | (hists or {}), **counts),
    }
    return line_of((step, 1), 0, series, [generator], [])


@pytest.mark.parametrize(
    ("at_s", "text"),
    [
        (-0.2, "warm-up 0 of 2 s"),
        (1.5, "warm-up 1 of 2 s"),
        (2, "measuring 0 of 5 s"),
        (6.9, "measuring 4 of 5 s"),
        (7, "draining"),
    ],
)
def test_phases(at_s: float, text: str) -> None:
    assert phase(STEP, int(at_s * NS_PER_S)) == text


def test_phases_of_long_and_endless_measurements() -> None:
    endless = Step(0, "concurrency 4", (), NS_PER_S // 2, None)
    assert phase(endless, 0) == "warm-up 0 of 0.5 s"
    assert phase(endless, 200 * NS_PER_S) == "measuring 3 min 19 s"
    long = Step(0, "concurrency 4", (), 0, 600 * NS_PER_S)
    assert phase(long, 200 * NS_PER_S) == "measuring 3 min 20 s of 10 min"


def test_a_line_says_where_the_step_is_and_how_its_last_second_went() -> None:
    assert progress_line(STEP, 3, 11, 4 * NS_PER_S, line(2)) == (
        "[3/11] batch 8, concurrency 4 · measuring 2 of 5 s · 40.0/s · p50 16 ms · p99 16 ms · 4 in flight"
    )


def test_a_line_names_troubles_only_where_there_are_any() -> None:
    text = progress_line(STEP, 3, 11, 0, line(2, failed={"INTERNAL": 2, "UNAVAILABLE": 1}, dropped=7, late=5))
    assert text.endswith("p99 16 ms · 3 failed · 7 dropped · 5 late")


def test_under_a_rate_a_line_has_what_was_offered_and_how_late_it_was_sent() -> None:
    lag = {SEND_LAG: from_values(np.full(40, 150_000, np.int64))}
    text = progress_line(OPEN, 3, 11, 4 * NS_PER_S, line(2, scheduled=50, hists=lag))
    assert text == (
        "[3/11] 40.0/s · measuring 2 of 5 s · 40.0 of 50.0/s · p50 16 ms · p99 16 ms · lag p99 150 µs"
    )


@pytest.mark.parametrize("name", ["b" * length for length in (1, 20, 40, 60, 200)])
def test_a_line_is_never_longer_than_a_terminal(name: str) -> None:
    text = progress_line(
        replace(OPEN, name=name), 3, 11, 4 * NS_PER_S, line(2, scheduled=1_000_000, dropped=7, late=5)
    )
    assert len(text) <= WIDTH and "\n" not in text
    assert text.startswith("[3/11] b") and text.endswith("7 dropped · 5 late")


def test_the_last_step_s_seconds_say_nothing_of_this_one() -> None:
    assert progress_line(STEP, 3, 11, 0, line(1)) == "[3/11] batch 8, concurrency 4 · warm-up 0 of 2 s"
    assert progress_line(STEP, 3, 11, 0, None) == "[3/11] batch 8, concurrency 4 · warm-up 0 of 2 s"


def test_the_plan_is_numbered_and_says_how_long_it_takes() -> None:
    plan = [
        SimpleNamespace(name="batch 1, concurrency 1", duration_ns=8 * NS_PER_S),
        SimpleNamespace(name="batch 8, 50 % of the best rate", duration_ns=None),
    ]
    assert [text.plain for text in plan_lines(plan, 130 * NS_PER_S)] == [
        "Plan: 2 steps, about 2 min 10 s",
        "  1  batch 1, concurrency 1          about 8 s",
        "  2  batch 8, 50 % of the best rate  until stopped",
    ]
    assert plan_lines(plan[1:], None)[0].plain == "Plan: 1 step, until stopped"
