"""Medians, intervals, ratios and slopes of the bench."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.intervals import coverage, interval, ratios, slope


@pytest.mark.parametrize(
    ("count", "rank", "expected"), [(5, 1, 0.9375), (6, 1, 0.96875), (7, 1, 0.984375), (7, 2, 0.875)]
)
def test_coverage_counts_the_ways_in_which_the_median_falls_outside(
    count: int, rank: int, expected: float
) -> None:
    assert coverage(count, rank) == pytest.approx(expected)


def test_seven_values_are_interpolated_between_the_two_nearest_pairs() -> None:
    found = interval([7, 1, 6, 2, 5, 3, 4])

    # By hand: share (0.984375 - 0.95) / 0.109375 = 0.3143, weight 6 · 0.3143 / (1 + 5 · 0.3143) = 0.7333.
    assert (found.median, found.count, found.coverage) == (4, 7, 0.95)
    assert found.low == pytest.approx(1.7333, abs=1e-4)
    assert found.high == pytest.approx(6.2667, abs=1e-4)


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [5.0, 1.0, 2.0, 9.0, 4.0]])
def test_too_few_values_give_their_range_and_say_what_it_is_worth(values: list[float]) -> None:
    found = interval(values)

    assert (found.low, found.high) == (min(values), max(values))
    assert found.coverage == pytest.approx(1 - 2 ** (1 - len(values)))


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([])


@pytest.mark.parametrize("count", [6, 7, 10, 15])
@pytest.mark.parametrize("kind", ["normal", "exponential", "cauchy"])
def test_the_interval_holds_the_true_median_in_95_percent(count: int, kind: str) -> None:
    rng = np.random.default_rng(7)
    draw = {"normal": rng.normal, "exponential": rng.exponential, "cauchy": rng.standard_cauchy}[kind]
    true_median = np.log(2) if kind == "exponential" else 0.0
    samples = draw(size=(4000, count))

    found = [interval(sample) for sample in samples.tolist()]

    held = np.mean([one.low <= true_median <= one.high for one in found])
    # 4,000 draws deviate by 0.35 %; the interpolation itself is good to about one percent.
    assert held == pytest.approx(0.95, abs=0.02)


def test_ratios_are_made_per_round_and_skip_what_is_missing() -> None:
    assert ratios([10, None, 30, 40], [5, 6, None, 0]) == [2]


def test_ratios_want_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="longer"):
        ratios([1], [1, 2])


def test_slope_of_a_line_and_of_noise_around_it() -> None:
    x = np.arange(50) / 10
    noise = np.random.default_rng(1).normal(0, 0.1, 50)

    assert slope(x.tolist(), (3 * x + 2).tolist()) == pytest.approx(3)
    assert slope(x.tolist(), (3 * x + 2 + noise).tolist()) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1.0], [1.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0])]
)
def test_a_slope_needs_two_places(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError):
        slope(x, y)
