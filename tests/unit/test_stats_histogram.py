"""The histogram: HdrHistogram's layout and rules, exact sums, exact merges."""

from __future__ import annotations

import math
from statistics import fmean, pstdev

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.metrics import PERCENTILES
from triton_users.stats import interchange
from triton_users.stats.histogram import (
    BUCKETS,
    EMPTY,
    HIGHEST_NS,
    Accumulator,
    bucket_index,
    exact_sums,
    from_values,
    highest_at,
    index_of,
    lowest_at,
    mean,
    merge,
    percentile,
    stddev,
    thin_percentiles,
)
from triton_users.stats.window import Hist

NS = st.integers(0, HIGHEST_NS) | st.integers(0, 5000) | st.integers(0, 41).map(lambda bit: 1 << bit)
VALUES = st.lists(NS, min_size=1, max_size=60)


def hist_of(values: list[int]) -> Hist:
    return from_values(np.array(values, np.int64))


def same(a: Hist, b: Hist) -> bool:
    return (
        np.array_equal(a.index, b.index)
        and np.array_equal(a.count, b.count)
        and (a.total, a.sum, a.sum_squares, a.min, a.max, a.clamped)
        == (b.total, b.sum, b.sum_squares, b.min, b.max, b.clamped)
    )


def theirs_of(values: list[int]) -> HdrHistogram:
    theirs = HdrHistogram(1, HIGHEST_NS, 3)
    for value in values:
        assert theirs.record_value(value)
    return theirs


def test_the_layout_is_that_of_hdrhistogram() -> None:
    theirs = HdrHistogram(1, HIGHEST_NS, 3)
    assert theirs.counts_len == BUCKETS
    edges = [v for bit in range(42) for v in ((1 << bit) - 1, 1 << bit, (1 << bit) + 1) if v <= HIGHEST_NS]
    rng = np.random.default_rng(0)
    values = np.array([*range(5000), *edges, HIGHEST_NS, *(10 ** rng.uniform(0, 12.55, 5000)).astype(int)])
    index = bucket_index(values)
    for value, i in zip(values.tolist(), index.tolist(), strict=True):
        assert i == theirs.get_counts_array_index(value)
        assert lowest_at(i) == theirs.get_lowest_equivalent_value(value) <= value
        assert highest_at(i) == theirs.get_highest_equivalent_value(value) >= value
        assert (highest_at(i) - lowest_at(i)) * 1000 <= value


@settings(max_examples=40)
@given(values=VALUES, q=st.floats(0.001, 100) | st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9, 100.0]))
def test_counts_and_percentiles_are_those_of_hdrhistogram(values: list[int], q: float) -> None:
    ours, theirs = hist_of(values), theirs_of(values)
    assert ours.index.dtype == np.uint16
    assert ours.count.dtype == np.uint32
    assert dict(zip(ours.index.tolist(), ours.count.tolist(), strict=True)) == {
        i: n for i, n in enumerate(theirs.counts) if n
    }
    assert percentile(ours, q) == min(theirs.get_value_at_percentile(q), max(values))
    assert percentile(ours, 0) == min(values)
    assert percentile(ours, 100) == max(values)


@settings(max_examples=100)
@given(values=VALUES)
def test_sums_are_exact(values: list[int]) -> None:
    hist = hist_of(values)
    assert (hist.total, hist.sum, hist.sum_squares) == (len(values), sum(values), sum(v * v for v in values))
    assert (hist.min, hist.max) == (min(values), max(values))
    assert math.isclose(mean(hist), fmean(values), rel_tol=1e-12)
    assert math.isclose(stddev(hist), pstdev(values), rel_tol=1e-9, abs_tol=1e-6)


def test_sums_are_exact_where_int64_would_overflow() -> None:
    count = (1 << 21) + 3
    values = np.full(count, HIGHEST_NS, np.int64)
    assert exact_sums(values, HIGHEST_NS) == (count * HIGHEST_NS, count * HIGHEST_NS**2)
    hist = from_values(values)
    assert mean(hist) == HIGHEST_NS
    assert stddev(hist) == 0


@settings(max_examples=60)
@given(parts=st.lists(st.lists(NS, max_size=20), max_size=6), order=st.randoms(use_true_random=False))
def test_a_merge_is_the_histogram_of_all_values_in_any_order(parts, order) -> None:
    hists = [hist_of(part) for part in parts]
    everything = hist_of([value for part in parts for value in part])
    assert same(merge(hists), everything)
    order.shuffle(hists)
    middle = len(hists) // 2
    assert same(merge([merge(hists[:middle]), merge(hists[middle:])]), everything)


def test_a_merge_outgrows_32_bits_unharmed() -> None:
    hist = Hist(
        np.array([7], np.uint16),
        np.array([2**32 - 1], np.uint32),
        2**32 - 1,
        7 * (2**32 - 1),
        49 * (2**32 - 1),
        7,
        7,
    )
    twice = merge([hist, hist])
    assert twice.count.tolist() == [2**33 - 2]
    assert merge([twice, hist]).count.tolist() == [3 * (2**32 - 1)]
    assert percentile(twice, 50) == 7


def test_values_out_of_range_are_clamped_and_counted() -> None:
    hist = hist_of([-5, -1, 0, 10, HIGHEST_NS, HIGHEST_NS + 1, 2**60])
    assert hist.clamped == 4
    assert (hist.total, hist.min, hist.max) == (7, 0, HIGHEST_NS)
    assert hist.sum == 10 + 3 * HIGHEST_NS
    assert merge([hist, hist]).clamped == 8


def test_a_cut_empties_the_accumulator() -> None:
    accumulator = Accumulator()
    accumulator.add(np.array([1, 2, 3_000_000]))
    accumulator.add(np.array([2]))
    accumulator.add(np.empty(0, np.int64))
    assert same(accumulator.cut(), hist_of([1, 2, 2, 3_000_000]))
    assert accumulator.cut() is EMPTY
    accumulator.add(np.array([5000]))
    assert same(accumulator.cut(), hist_of([5000]))


def test_histograms_side_by_side_are_those_filled_alone() -> None:
    accumulator = Accumulator(3)
    accumulator.add(np.array([[5, 2_000_000, -1], [7000, 1023, 1024]]), 1)
    accumulator.add(np.array([2047, HIGHEST_NS + 1]), 1)
    assert accumulator.cut(0) is EMPTY
    assert same(accumulator.cut(2), hist_of([7000, 1023, 1024]))
    assert same(accumulator.cut(1), hist_of([5, 2_000_000, -1, 2047, HIGHEST_NS + 1]))
    assert accumulator.cut(1) is EMPTY


@given(st.integers(0, HIGHEST_NS) | st.integers(0, 5000))
def test_one_value_has_the_bucket_that_it_has_in_a_vector(value: int) -> None:
    assert index_of(value) == bucket_index(np.array([value]))[0]


def test_an_empty_histogram_has_no_figures() -> None:
    for figure in (mean, stddev, lambda hist: percentile(hist, 50)):
        with pytest.raises(ValueError, match="empty"):
            figure(EMPTY)
    assert merge([]) is EMPTY
    assert thin_percentiles(0) == []
    with pytest.raises(ValueError, match="101"):
        percentile(hist_of([1]), 101)


def test_a_percentile_is_thin_with_fewer_than_five_values_above_it() -> None:
    for count in (*range(1, 12), *range(49, 102), *range(440, 510), 2_000):
        hist = hist_of(list(range(count)))  # small values have a bucket each
        above = {name: count - 1 - percentile(hist, q) for name, q in PERCENTILES.items()}
        assert thin_percentiles(count) == [name for name, n in above.items() if n < 5], count
    assert thin_percentiles(449) == ["p99", "p99.9"]
    assert thin_percentiles(451) == ["p99.9"]
    assert thin_percentiles(5_000) == []


@settings(max_examples=30)
@given(values=VALUES)
def test_the_interchange_format_carries_counts_both_ways(values: list[int]) -> None:
    hist = hist_of(values)
    text = interchange.encode(hist)
    assert text == theirs_of(values).encode().decode("ascii")
    back = interchange.decode(text)
    assert np.array_equal(back.index, hist.index)
    assert np.array_equal(back.count, hist.count)
    assert back.total == hist.total
    assert math.isclose(back.sum, hist.sum, rel_tol=1e-3, abs_tol=len(values))
    exact = interchange.from_hdrh(interchange.to_hdrh(hist))
    assert (exact.min, exact.max) == (hist.min, hist.max)


def test_an_empty_histogram_survives_the_interchange() -> None:
    assert interchange.decode(interchange.encode(EMPTY)) is EMPTY


def test_another_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="layout"):
        interchange.from_hdrh(HdrHistogram(1000, HIGHEST_NS, 3))
