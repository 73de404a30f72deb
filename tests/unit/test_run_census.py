"""Who owned what: against a plain loop over the schedule, in pieces, and the stretches of time beside it."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.run.census import NOBODY, PIECE, Census
from triton_users.run.intervals import joined, without
from triton_users.run.roster import Span
from triton_users.schedule import Schedule
from triton_users.stats.window import Key
from triton_users.step import CLOSED, POISSON, UNKNOWN_CLASS, Flow, RequestClass, Step
from triton_users.units import NS_PER_S

SEED, RATE = 3, 20_000.0
SMALL, LARGE = RequestClass("m", 1), RequestClass("m", 8)
MIX = Flow("f", "U", "m", POISSON, RATE, None, ((SMALL, 3.0), (LARGE, 1.0)))
TASKS = Flow("g", "V", "m", POISSON, 300.0, None, ())
SLOTS = Flow("h", "W", "m", CLOSED, None, 4, ((SMALL, 1.0),))
STEP = Step(0, "s", (MIX, TASKS, SLOTS), NS_PER_S, NS_PER_S, 2)
UNTIL = {0: 3 * NS_PER_S, 1: 3 * NS_PER_S, 7: 2 * NS_PER_S + 5}
"""Of three workers, one leaves early."""


def loop(span: Span, k: int, n: int) -> dict[int, Counter[Key]]:
    workers = span.workers
    found = {worker: Counter[Key]() for worker in workers}
    for flow in (MIX, TASKS):
        assert flow.rate is not None
        arrivals = Schedule(flow.process, flow.rate, SEED, f"0/{flow.name}").arrivals(
            span.from_ns, span.until_ns, k, n
        )
        for index, at, pick in zip(
            *(column.tolist() for column in (arrivals.index, arrivals.offset_ns, arrivals.pick)), strict=True
        ):
            worker = workers[index % len(workers)]
            if at < UNTIL[worker]:
                cls = UNKNOWN_CLASS if flow is TASKS else SMALL if pick < 0.75 else LARGE
                trial = at // NS_PER_S - 1 if at < 3 * NS_PER_S else -2
                found[worker][Key(flow.name, cls, trial)] += 1
    return found


@pytest.mark.parametrize(("k", "n"), [(0, 1), (2, 3)])
def test_it_counts_what_a_plain_loop_counts(k: int, n: int) -> None:
    span = Span(NS_PER_S // 2, 3 * NS_PER_S + 1000, (0, 1, 7) if n == 1 else (7,))
    counted = Census(STEP, SEED, UNTIL.__getitem__, lambda: None).count(span, k, n)
    assert counted == loop(span, k, n)
    assert counted[7].total() > 1000


def test_the_caller_may_pause_between_short_pieces() -> None:
    pauses: list[None] = []
    census = Census(STEP, SEED, lambda worker: 3 * NS_PER_S, lambda: pauses.append(None))
    total = census.count(Span(0, 3 * NS_PER_S, ()))[NOBODY].total()
    assert total > 3 * PIECE
    assert total / PIECE <= len(pauses) <= total / PIECE + 2  # each flow's last is shorter


TIMES = st.integers(0, 30)
INTERVALS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair) + 1)), max_size=6)


@given(one=st.tuples(TIMES, TIMES), others=INTERVALS)
def test_stretches_of_time_are_sets_of_instants(one: tuple[int, int], others: list[tuple[int, int]]) -> None:
    together = joined(others)
    taken = {at for start, end in others for at in range(start, end)}
    assert {at for start, end in together for at in range(start, end)} == taken
    assert all(before[1] < after[0] for before, after in itertools.pairwise(together))
    left = list(without(one, together))
    assert all(start < end for start, end in left)
    assert sorted(at for start, end in left for at in range(start, end)) == sorted(set(range(*one)) - taken)
