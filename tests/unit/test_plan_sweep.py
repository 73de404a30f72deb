"""The sweep, driven by made-up measure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.options.settings import Settings
from triton_users.plan.flows import Source
from triton_users.plan.measure import Stopped
from triton_users.plan.sweep import PlannedStep, describe, planned_duration_ns, sweep
from triton_users.step import CLOSED, CONSTANT, POISSON, Step
from triton_users.units import NS_PER_MS, NS_PER_S, RequestRate

SOURCES = [Source("sr", "SRUser", "espcn")]
HALF = RequestRate(50, percent=True)
FULL = Settings(batch_sizes=(1, 8), concurrency=(1, 4), request_rates=(HALF,))


@dataclass(frozen=True)
class Result:
    step: Step
    achieved_request_rate: float
    latency_p50_ns: int | None


class Server:
    """Answers after ``latency_ns`` a request in flight, ``peak`` requests a second at most."""

    def __init__(self, peak: float = 100.0, latency_ns: int | None = 10 * NS_PER_MS) -> None:
        self.peak, self.latency_ns = peak, latency_ns
        self.steps: list[Step] = []

    def measure(self, step: Step) -> Result:
        self.steps.append(step)
        batch = step.flows[0].classes[0][0].batch_size if step.flows[0].classes else 1
        users = sum(flow.users or 0 for flow in step.flows)
        offered = sum(flow.rate or 0.0 for flow in step.flows)
        rate = offered or min(self.peak / batch, 40.0 * users)
        return Result(step, rate, self.latency_ns)


def test_each_batch_size_has_its_concurrencies_and_then_its_rates() -> None:
    server = Server()
    results = sweep(server.measure, FULL, SOURCES)
    assert [result.step.name for result in results] == [
        "batch 1, concurrency 1",
        "batch 1, concurrency 4",
        "batch 1, 50.0/s poisson (50 %)",
        "batch 8, concurrency 1",
        "batch 8, concurrency 4",
        "batch 8, 6.25/s poisson (50 %)",
    ]
    assert [step.index for step in server.steps] == list(range(6))
    flow = server.steps[2].flows[0]
    assert (flow.process, flow.rate, flow.users) == (POISSON, 50.0, None)
    closed = server.steps[1].flows[0]
    assert (closed.process, closed.rate, closed.users) == (CLOSED, None, 4)


def test_a_step_takes_the_settings() -> None:
    settings = Settings(interval_ns=7, warm_up_ns=0, drain_ns=9, max_in_flight=3, concurrency=(2,))
    (result,) = sweep(Server().measure, settings, SOURCES)
    step = result.step
    assert (step.interval_ns, step.warm_up_ns, step.drain_ns) == (7, 0, 9)
    assert (step.max_in_flight, step.max_trials) == (3, 1)


def test_without_any_word_it_is_one_request_in_flight() -> None:
    (result,) = sweep(Server().measure, Settings(), SOURCES)
    assert result.step.name == "batch 1, concurrency 1"
    assert result.step.interval_ns == 5 * NS_PER_S


def test_users_of_locust_are_one_endless_step() -> None:
    settings = Settings(users=12)
    (result,) = sweep(Server().measure, settings, SOURCES)
    assert (result.step.name, result.step.interval_ns) == ("batch 1, concurrency 12", None)
    assert describe(settings, SOURCES) == [PlannedStep("batch 1, concurrency 12", None)]


def test_rates_alone() -> None:
    settings = Settings(request_rates=(RequestRate(5), RequestRate(12.5)), distribution=CONSTANT)
    results = sweep(Server().measure, settings, SOURCES)
    assert [r.step.name for r in results] == ["batch 1, 5.00/s constant", "batch 1, 12.5/s constant"]


def test_close_rates_have_names_of_their_own() -> None:
    rates = (1000.25, 1000.5, 1840, 25)
    settings = Settings(request_rates=tuple(map(RequestRate, rates)))
    names = [step.name for step in describe(settings, SOURCES)]
    assert names == [
        "batch 1, 1000.25/s poisson",
        "batch 1, 1000.5/s poisson",
        "batch 1, 1,840/s poisson",
        "batch 1, 25.0/s poisson",
    ]


def test_mixes_have_one_pass() -> None:
    settings = Settings(batch_mix=((1, 80.0), (8, 20.0)), concurrency=(1, 2))
    results = sweep(Server().measure, settings, SOURCES)
    assert [r.step.name for r in results] == [
        "batch mix 1=80,8=20, concurrency 1",
        "batch mix 1=80,8=20, concurrency 2",
    ]
    assert [weight for _, weight in results[0].step.flows[0].classes] == [80.0, 20.0]


def test_users_with_tasks_have_no_batch_size_of_ours() -> None:
    settings = Settings(batch_sizes=(1, 8), concurrency=(2,))
    (result,) = sweep(Server().measure, settings, [replace(SOURCES[0], tasks=True)])
    assert result.step.name == "concurrency 2"
    both = [replace(SOURCES[0], tasks=True), SOURCES[0]]
    assert len(sweep(Server().measure, settings, both)) == 2


def test_several_classes_share_users_and_rate() -> None:
    sources = [replace(SOURCES[0], weight=1.0), Source("other", "Other", "m2", weight=3.0)]
    closed, opened = sweep(Server().measure, Settings(concurrency=(8,), request_rates=(HALF,)), sources)
    assert [flow.users for flow in closed.step.flows] == [2, 6]
    assert [flow.rate for flow in opened.step.flows] == [12.5, 37.5]


@pytest.mark.parametrize(
    ("latency_ms", "option_ns", "warm_ups_s"),
    [
        (10, None, [2, 2, 2]),
        (1000, None, [2, 3, 3]),
        (None, None, [2, 2, 2]),
        (1000, 0, [0, 0, 0]),
        (10, 4 * NS_PER_S, [4, 4, 4]),
    ],
)
def test_warm_up_is_the_longer_of_two_seconds_and_three_latencies(
    latency_ms: int | None, option_ns: int | None, warm_ups_s: list[int]
) -> None:
    server = Server(latency_ns=None if latency_ms is None else latency_ms * NS_PER_MS)
    settings = replace(FULL, warm_up_ns=option_ns)
    sweep(server.measure, settings, SOURCES)
    warm_ups = [step.warm_up_ns // NS_PER_S for step in server.steps]
    assert warm_ups == warm_ups_s * 2  # another batch size begins anew


@pytest.mark.parametrize(
    ("alone_ms", "option_ns", "asked", "warm_ups_s"),
    [
        (3000, None, 2, [9, 2, 2]),
        (10, None, 2, [2, 2, 2]),
        (None, None, 2, [2, 2, 2]),
        (3000, 0, 0, [0, 0, 0]),
    ],
)
def test_before_a_batch_size_is_measured_a_request_alone_tells_its_latency(
    alone_ms: int | None, option_ns: int | None, asked: int, warm_ups_s: list[int]
) -> None:
    server = Server()
    probed: list[str] = []

    def probe(step: Step) -> int | None:
        probed.append(step.name)
        return None if alone_ms is None else alone_ms * NS_PER_MS

    sweep(server.measure, replace(FULL, warm_up_ns=option_ns), SOURCES, probe=probe)
    assert [step.warm_up_ns // NS_PER_S for step in server.steps] == warm_ups_s * 2
    assert probed == ["batch 1, concurrency 1", "batch 8, concurrency 1"][:asked]


def test_where_nothing_succeeded_the_request_alone_still_counts() -> None:
    server = Server(latency_ns=None)
    sweep(server.measure, FULL, SOURCES, probe=lambda _: 3 * NS_PER_S)
    assert {step.warm_up_ns // NS_PER_S for step in server.steps} == {9}


def test_a_share_of_nothing_is_left_out_and_said() -> None:
    said: list[str] = []
    results = sweep(Server(peak=0.0).measure, replace(FULL, batch_sizes=(1,)), SOURCES, said.append)
    assert [result.step.index for result in results] == [0, 1]
    assert said == ["batch 1, 50 % of the best rate, poisson is left out: no request succeeded before it"]


@given(st.integers(0, 5), st.booleans())
def test_a_stop_keeps_what_was_measured(stop_at: int, with_partial: bool) -> None:
    server = Server()

    def measure(step: Step) -> Result:
        result = server.measure(step)
        if step.index == stop_at:
            raise Stopped(result if with_partial else None)
        return result

    results = sweep(measure, FULL, SOURCES)
    assert [result.step.index for result in results] == list(range(stop_at + with_partial))
    assert len(server.steps) == stop_at + 1
    assert str(Stopped()) == "the run was stopped"


def test_the_plan_before_it_runs() -> None:
    plan = describe(FULL, SOURCES)
    assert [step.name for step in plan][:3] == [
        "batch 1, concurrency 1",
        "batch 1, concurrency 4",
        "batch 1, 50 % of the best rate, poisson",
    ]
    assert {step.duration_ns for step in plan} == {8 * NS_PER_S}
    assert planned_duration_ns(plan, None) == 48 * NS_PER_S
    assert planned_duration_ns(plan, 10 * NS_PER_S) == 10 * NS_PER_S
    endless = [*plan, PlannedStep("x", None)]
    assert planned_duration_ns(endless, None) is None
    assert planned_duration_ns(endless, 3) == 3


@given(
    st.sets(st.integers(1, 32), min_size=1, max_size=3),
    st.sets(st.integers(1, 64), max_size=3),
    st.sets(st.integers(1, 100), max_size=3),
)
def test_what_is_described_is_what_is_measured(batches: set[int], users: set[int], rates: set[int]) -> None:
    settings = Settings(
        batch_sizes=tuple(batches), concurrency=tuple(users), request_rates=tuple(map(RequestRate, rates))
    )
    names = [step.name for step in describe(settings, SOURCES)]
    assert names == [result.step.name for result in sweep(Server().measure, settings, SOURCES)]
    assert len(set(names)) == len(names)
