"""The schedule: the union of all parts is the one-machine schedule, however it is asked for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.schedule import Arrivals, Schedule, fingerprint
from triton_users.schedule import schedule as schedule_module
from triton_users.schedule.process import BLOCK, Checkpoint
from triton_users.units import NS_PER_S

PROCESSES = st.sampled_from(["constant", "poisson"])
RATES = st.sampled_from([1 / 3, 7.0, 999.0, 20_000.0]) | st.floats(0.5, 20_000.0)
LENGTH_NS = NS_PER_S


def same(a: Arrivals, b: Arrivals) -> bool:
    return (
        np.array_equal(a.index, b.index)
        and np.array_equal(a.offset_ns, b.offset_ns)
        and np.array_equal(a.pick, b.pick)
    )


def union(parts: list[Arrivals]) -> Arrivals:
    index = np.concatenate([p.index for p in parts])
    order = np.argsort(index, kind="stable")
    return Arrivals(
        index[order],
        np.concatenate([p.offset_ns for p in parts])[order],
        np.concatenate([p.pick for p in parts])[order],
    )


@settings(max_examples=60)
@given(
    process=PROCESSES,
    rate=RATES,
    seed=st.integers(-3, 3),
    n=st.integers(1, 7),
    spans=st.lists(st.integers(0, LENGTH_NS), max_size=6)
    .map(lambda cuts: list(pairwise([0, *sorted(cuts), LENGTH_NS])))
    .flatmap(st.permutations),
)
def test_any_split_in_any_order_gives_the_one_machine_schedule(process, rate, seed, n, spans) -> None:
    calls = [(a, b, k) for k in range(n) for a, b in spans]
    shared = Schedule(process, rate, seed, "0/a")
    parts = [shared.arrivals(a, b, k, n) for a, b, k in calls]
    alone = Schedule(process, rate, seed, "0/a").arrivals(0, LENGTH_NS)
    assert same(union(parts), alone)
    assert [shared.count(a, b, k, n) for a, b, k in calls] == [len(p) for p in parts]
    for (a, b, k), part in zip(calls, parts, strict=True):
        assert np.all((part.offset_ns >= a) & (part.offset_ns < b) & (part.index % n == k))


@settings(max_examples=40)
@given(process=PROCESSES, rate=RATES, at=st.integers(0, 20 * NS_PER_S), back=st.integers(0, NS_PER_S))
def test_a_late_joiner_makes_the_same_arrivals(process, rate, at, back) -> None:
    first, late = Schedule(process, rate, 9, "1/b"), Schedule(process, rate, 9, "1/b")
    passed = first.count(0, at)
    expected = first.arrivals(at, at + NS_PER_S, 1, 3)
    assert same(late.arrivals(at, at + NS_PER_S, 1, 3), expected)
    # Also before its first, where it has to start over.
    early = max(0, at - back)
    assert late.count(early, at) == passed - first.count(0, early)


def test_even_arrivals_need_no_walk() -> None:
    assert Schedule("constant", 10_000.0, 0, "0/a")._mark_before(100 * NS_PER_S) == Checkpoint(
        244, 0, (244 * BLOCK - 1) * 100_000
    )


def test_consecutive_spans_make_every_block_once(monkeypatch) -> None:
    schedule = Schedule("poisson", 10_000.0, 0, "0/a")
    made: list[int] = []
    block = schedule._process.block
    monkeypatch.setattr(
        schedule._process, "block", lambda number, carry: (made.append(number), block(number, carry))[1]
    )
    for half_second in range(40):
        schedule.arrivals(half_second * NS_PER_S // 2, (half_second + 1) * NS_PER_S // 2, 1, 4)
    assert made == list(range(len(made)))
    assert len(made) <= 20 * 10_000 // BLOCK + 2


def test_checkpoints_stay_bounded_and_useful(monkeypatch) -> None:
    monkeypatch.setattr(schedule_module, "MARKS", 8)
    monkeypatch.setattr(schedule_module, "RECENT", 1)
    schedule = Schedule("poisson", 100_000.0, 0, "0/a")
    far = 20 * NS_PER_S
    schedule.count(0, far)
    blocks = [mark.block for mark in schedule._marks]
    assert len(blocks) <= 8
    assert blocks == sorted(set(blocks))
    assert blocks[-1] >= 2_000_000 // BLOCK - 2
    fresh = Schedule("poisson", 100_000.0, 0, "0/a")
    for at in (0, 3 * NS_PER_S, 11 * NS_PER_S, 19 * NS_PER_S):
        assert same(schedule.arrivals(at, at + 10_000_000), fresh.arrivals(at, at + 10_000_000))


def test_equal_instants_on_both_sides_of_a_block_are_both_found() -> None:
    # At 10^9 arrivals a second many neighbours share their nanosecond.
    for process in ("constant", "poisson"):
        schedule = Schedule(process, 1e9, 0, "0/a")
        whole = schedule.arrivals(0, 10_000)
        for at in np.unique(whole.offset_ns[BLOCK - 3 : BLOCK + 3]).tolist():
            assert schedule.arrivals(at, at + 1).index.tolist() == whole.index[whole.offset_ns == at].tolist()


class Trace:
    """A process that ends: arrival j at its j-th instant."""

    def __init__(self, offsets: np.ndarray) -> None:
        self.offsets = offsets

    def block(self, number: int, carry: int) -> tuple[np.ndarray, int]:
        return self.offsets[number * BLOCK : (number + 1) * BLOCK], 0

    def seek(self, at_ns: int) -> Checkpoint | None:
        return None


@pytest.mark.parametrize("length", [0, 5, BLOCK, BLOCK + 904])
def test_a_process_may_end(monkeypatch, length: int) -> None:
    monkeypatch.setattr(schedule_module, "_process", lambda *_: Trace(np.arange(length) * 10))
    schedule = Schedule("trace", 1.0, 0, "0/a")
    assert schedule.count(0, 10**12) == length
    parts = [schedule.arrivals(10 * a, 10 * a + 10_000, k, 3) for a in range(0, 6000, 1000) for k in range(3)]
    assert union(parts).index.tolist() == list(range(length))
    assert schedule._marks[-1].block == length // BLOCK


@pytest.mark.parametrize("process", ["constant", "poisson"])
def test_the_same_seed_gives_the_same_and_another_seed_another(process: str) -> None:
    def make(seed: int, stream: str = "0/a") -> Arrivals:
        return Schedule(process, 1000.0, seed, stream).arrivals(0, NS_PER_S)

    assert same(make(0), make(0))
    for other in (make(1), make(0, "1/a"), make(0, "0/b")):
        assert not np.array_equal(make(0).pick[:100], other.pick[:100])
        assert np.array_equal(make(0).offset_ns[:100], other.offset_ns[:100]) == (process == "constant")


def test_an_empty_span_is_empty() -> None:
    schedule = Schedule("poisson", 10.0, 0, "0/a")
    for span in ((5, 5), (9, 3), (-10, 0), (0, 1)):
        assert len(schedule.arrivals(*span)) == schedule.count(*span) == 0
    assert schedule.count(-NS_PER_S, NS_PER_S) == schedule.count(0, NS_PER_S)
    assert schedule.arrivals(0, 1).index.dtype == np.int64


def test_a_worker_outside_its_number_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 3"):
        Schedule("poisson", 10.0, 0, "0/a").count(0, 1, 3, 3)


def test_the_fingerprint_tells_seeds_apart_and_is_the_same_everywhere() -> None:
    # A literal, so that a change of the schedule between versions of ours or of numpy is noticed.
    assert fingerprint(0) == "12c30cb00afdfffcbe6cab5888546f50"
    assert fingerprint(1) != fingerprint(0)
