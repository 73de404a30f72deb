"""Sources become flows: users and rates shared by weight, classes from batch sizes and shapes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.options.settings import Settings
from triton_users.plan.flows import Source, closed_flows, open_flows, shapes_of, split_users
from triton_users.step import CLOSED, POISSON, Flow, RequestClass

A = Source("a", "AUser", "model_a")
B = Source("b", "BUser", "model_b", weight=3.0)


@pytest.mark.parametrize(
    ("users", "weights", "parts"),
    [
        (10, [1], [10]),
        (10, [1, 1], [5, 5]),
        (10, [1, 3], [3, 7]),  # 2.5 and 7.5: of equal remainders the first wins
        (1, [1, 1, 1], [1, 0, 0]),
        (1, [1, 5], [0, 1]),
        (0, [1, 2], [0, 0]),
        (7, [0.1, 0.2, 0.4], [1, 2, 4]),
    ],
)
def test_users_are_split_by_largest_remainder(users: int, weights: list[float], parts: list[int]) -> None:
    assert split_users(users, weights) == parts


@given(st.integers(0, 10_000), st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=8))
def test_nobody_is_lost_and_nobody_far_from_his_share(users: int, weights: list[float]) -> None:
    parts = split_users(users, weights)
    assert sum(parts) == users
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - users * weight / sum(weights)) < 1 + 1e-6


def test_closed_flows() -> None:
    one, three = closed_flows([A, B], ((8, 1.0),), 4)
    assert one == Flow("a", "AUser", "model_a", CLOSED, None, 1, ((RequestClass("model_a", 8), 1.0),))
    assert (three.users, three.classes) == (3, ((RequestClass("model_b", 8), 1.0),))
    assert [flow.name for flow in closed_flows([A, B], ((8, 1.0),), 1)] == ["b"]


@given(st.floats(1e-3, 1e6), st.lists(st.floats(0.1, 100), min_size=1, max_size=5))
def test_open_flows_share_the_rate(rate: float, weights: list[float]) -> None:
    flows = open_flows([replace(A, weight=w) for w in weights], ((1, 1.0),), rate, POISSON)
    assert math.isclose(sum(flow.rate or 0.0 for flow in flows), rate)
    assert {(flow.process, flow.users) for flow in flows} == {(POISSON, None)}


def test_classes_are_batch_sizes_times_shapes() -> None:
    short, long = (("IN", (1, 64)),), (("IN", (1, 512)),)
    source = replace(A, shapes=((short, 70.0), (long, 30.0)))
    assert source.classes(((1, 80.0), (8, 20.0))) == (
        (RequestClass("model_a", 1, short), 5600.0),
        (RequestClass("model_a", 1, long), 2400.0),
        (RequestClass("model_a", 8, short), 1400.0),
        (RequestClass("model_a", 8, long), 600.0),
    )


def test_a_source_with_its_own_batches_or_tasks_does_not_follow_the_plan() -> None:
    own = replace(A, batches=((2, 1.0),))
    assert own.classes(((8, 1.0),)) == ((RequestClass("model_a", 2), 1.0),)
    assert replace(A, tasks=True).classes(((8, 1.0),)) == ()
    assert [A.follows_plan, own.follows_plan, replace(A, tasks=True).follows_plan] == [True, False, False]


def test_shapes_of_options_lie_over_those_of_the_model() -> None:
    fixed = (("FIXED", (3,)), ("IN", (1,)))
    assert shapes_of(Settings()) == (((), 1.0),)
    assert shapes_of(Settings(), fixed) == ((fixed, 1.0),)
    assert shapes_of(Settings(shapes=(("IN", (1, 9)),)), fixed) == (((("FIXED", (3,)), ("IN", (1, 9))), 1.0),)
    mixed = Settings(shapes=(("B", (2,)),), shape_mix=(((("A", (1,)),), 70.0), ((("A", (2,)),), 30.0)))
    assert shapes_of(mixed) == (((("A", (1,)), ("B", (2,))), 70.0), ((("A", (2,)), ("B", (2,))), 30.0))
