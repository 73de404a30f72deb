"""The processes themselves: exact constant arrivals, exponential gaps, streams that do not touch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from triton_users.schedule import Schedule, picks
from triton_users.schedule.constant import Constant
from triton_users.schedule.poisson import Poisson
from triton_users.schedule.process import BLOCK
from triton_users.schedule.random import GAP, PICK, stream_key, uniforms
from triton_users.units import NS_PER_S


@pytest.mark.parametrize("rate", [7.0, 1 / 3, 0.3, 10_000.0, 1234.567, 1234.56789012345])
def test_constant_is_exact_after_a_thousand_million_arrivals(rate: float) -> None:
    simple = Fraction(rate).limit_denominator(1_000_000)
    meant = simple if float(simple) == rate else Fraction(rate)
    block = 10**9 // BLOCK
    offsets, _ = Constant(rate).block(block, 0)
    expected = [
        j * NS_PER_S * meant.denominator // meant.numerator for j in range(block * BLOCK, (block + 1) * BLOCK)
    ]
    assert offsets.dtype == np.int64
    assert offsets.tolist() == expected


def test_a_third_means_one_arrival_every_three_seconds() -> None:
    at = 10**9 * 3 * NS_PER_S
    found = Schedule("constant", 1 / 3, 0, "0/a").arrivals(at, at + 1)
    assert found.index.tolist() == [10**9]
    assert found.offset_ns.tolist() == [at]


def test_poisson_gaps_are_exponential_with_the_rate_as_parameter() -> None:
    offsets = Schedule("poisson", 500.0, 3, "0/a").arrivals(0, 200 * NS_PER_S).offset_ns
    gaps = np.diff(offsets)
    assert stats.kstest(gaps, "expon", args=(0, NS_PER_S / 500)).pvalue > 0.01
    # Independent: neighbours do not correlate, also not over the borders of blocks.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(len(gaps))
    assert abs(len(offsets) - 100_000) < 4 * np.sqrt(100_000)


def test_the_first_gap_counts_from_t0() -> None:
    process = Poisson(10.0, 1, "0/a")
    offsets, carry = process.block(0, 0)
    assert offsets[0] == process.gaps(0)[0] > 0
    assert carry == offsets[-1] == process.gaps(0).sum()


def test_any_part_of_a_stream_can_be_made_alone() -> None:
    key = stream_key(GAP, 0, "s")
    whole = uniforms(key, 0, 1000)
    for first, count in ((0, 1), (1, 7), (3, 997), (998, 2), (500, 0)):
        assert np.array_equal(uniforms(key, first, count), whole[first : first + count])
    assert whole.min() >= 0
    assert whole.max() < 1
    assert stats.kstest(whole, "uniform").pvalue > 0.01


def test_streams_differ_by_purpose_seed_and_name() -> None:
    keys = {
        stream_key(purpose, seed, name)
        for purpose in (GAP, PICK)
        for seed in (0, 1, -1, 2**70)
        for name in ("0/a", "1/a", "0/b")
    }
    assert len(keys) == 2 * 4 * 3


def test_picks_follow_the_numbering_of_the_schedule() -> None:
    found = Schedule("poisson", 1000.0, 5, "2/a").arrivals(7 * NS_PER_S, 9 * NS_PER_S)
    assert np.array_equal(found.pick, picks(5, "2/a", int(found.index[0]), len(found)))


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-9, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        Schedule("poisson", rate, 0, "0/a")


def test_an_unknown_process_is_refused() -> None:
    with pytest.raises(ValueError, match="closed"):
        Schedule("closed", 1.0, 0, "0/a")
