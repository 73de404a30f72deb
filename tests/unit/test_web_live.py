"""The web UI's seconds, from merged lines: also those that come when the next step has begun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.feed_example import WORKERS, lines_of
from triton_users.run.master import Run
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.web.live import COUNTS, Live

LINE = next(line for line in lines_of(2) if line["kind"] == "window")


def line(step: int, second: int, *, flows: tuple[str, ...] = ("ImageUser",)) -> dict[str, Any]:
    start_ns = second * NS_PER_S
    changed = {"start_ns": start_ns, "end_ns": start_ns + NS_PER_S, "open_loop": list(flows)}
    return LINE | {"step": step, "second": second} | changed


@pytest.fixture
def live() -> Live:
    record = SimpleNamespace(position=None)
    run = SimpleNamespace(settings=SimpleNamespace(latency_threshold_ns=None), zero_ns=0, record=record)
    return Live(cast(Run, run), total=dict.fromkeys(COUNTS, 0))


def at(live: Live, step: int, t0_ns: int | None) -> None:
    """Where the run is."""
    cast(Any, live.run).record.position = SimpleNamespace(step=SimpleNamespace(index=step), t0_ns=t0_ns)


def test_a_late_line_of_the_step_before_is_as_it_was(live: Live) -> None:
    """A worker that slept across a step's end: its windows revise seconds of a step that is over."""
    at(live, 0, 250 * NS_PER_MS)
    live.add(line(0, 0))
    at(live, 1, None)
    live.add(line(1, 7, flows=()))
    [first, closed] = live.since(0)
    assert first["request_rate"] == pytest.approx(first["scheduled"] / 0.75)
    live.add(line(0, 0))
    [again] = live.since(closed["number"])
    assert again == first | {"number": again["number"]}
    assert live.last is not None and live.last.step == 1


def test_a_closed_loop_offers_no_rate(live: Live) -> None:
    live.add(line(0, 0, flows=()))
    [second] = live.since(0)
    assert second["request_rate"] is None and second["send_lag_p99_ns"] is None
    assert second["achieved_request_rate"] > 0


def test_each_workers_cpu_is_that_of_the_last_second_alone(live: Live) -> None:
    """A page that is opened asks for 900 seconds, and there may be 1000 workers."""
    idle = [one | {"cpu_ratio": 0.125} for one in LINE["generators"]]
    live.add(line(0, 1))
    live.add(line(0, 0) | {"generators": idle})
    busy = {one["worker"]: one["cpu_ratio"] for one in LINE["generators"]}
    assert live.cpu == busy and len(busy) == WORKERS
    live.add(line(0, 2) | {"generators": idle})
    assert live.cpu == dict.fromkeys(busy, 0.125)
    assert not [name for one in live.since(0) for name in one if name == "cpu_ratio"]
