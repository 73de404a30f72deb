"""Rows of requests, and the join with the schedule's numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from triton_users.stats.request_log import OTHER, RequestLog, join_index, status_code


def test_status_codes_are_those_of_grpc_and_ours() -> None:
    assert [status_code(name) for name in ("OK", "UNAVAILABLE", "UNAUTHENTICATED")] == [0, 14, 16]
    assert status_code("NO_ANSWER") >= 100
    assert status_code("something new") == OTHER


def test_rows_come_by_arrival_and_only_once() -> None:
    log = RequestLog()
    fold = np.arange(12).reshape(4, 3).T
    log.add(fold[0][::-1], fold[1], fold[2], np.zeros(4, np.uint8), np.full(4, 7))
    log.add(np.array([4]), np.array([0]), np.array([0]), np.array([101], np.uint8), np.array([7]))
    assert len(log) == 5
    rows = log.cut()
    assert rows.arrival_ns.tolist() == [0, 3, 4, 6, 9]
    assert rows.status.tolist() == [0, 0, 101, 0, 0]
    assert (rows.tag.dtype, rows.status.dtype, rows.done_ns.dtype) == (np.uint16, np.uint8, np.int64)
    assert len(log) == len(log.cut()) == 0
    assert log.cut().tag.dtype == np.uint16


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=30)
    .map(sorted)
    .flatmap(lambda offsets: st.tuples(st.just(offsets), st.permutations(offsets)))
)
def test_each_arrival_gets_a_number_of_its_instant_and_none_twice(case) -> None:
    offsets, arrivals = case
    index = np.arange(len(offsets)) * 3 + 5
    joined = join_index(index, np.array(offsets), np.array(arrivals))
    assert sorted(joined.tolist()) == index.tolist()
    assert [offsets[(i - 5) // 3] for i in joined.tolist()] == arrivals


def test_an_arrival_that_the_schedule_does_not_know_gets_no_number() -> None:
    found = join_index(np.array([0, 1]), np.array([10, 20]), np.array([20, 15, 10, 20, 99]))
    assert found.tolist() == [1, -1, 0, -1, -1]
    assert join_index(np.array([], np.int64), np.array([], np.int64), np.array([1])).tolist() == [-1]
