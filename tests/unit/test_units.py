"""Text to integers and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users import units
from triton_users.units import RequestRate


@pytest.mark.parametrize(
    ("text", "bare", "ns"),
    [
        ("5s", "ms", 5_000_000_000),
        ("500ms", "s", 500_000_000),
        ("1.5m", "s", 90_000_000_000),
        ("2h", "s", 7_200_000_000_000),
        ("100us", "s", 100_000),
        ("100 µs", "s", 100_000),
        ("100μs", "s", 100_000),
        ("250ns", "s", 250),
        ("1000", "ms", 1_000_000_000),
        ("1000", "s", 1_000_000_000_000),
        ("0.5", "s", 500_000_000),
        (".5", "s", 500_000_000),
        ("1e3", "ms", 1_000_000_000),
        ("1h30m10s", "s", 5_410_000_000_000),
        ("1 h 05 min", "s", 3_900_000_000_000),
        ("0", "ms", 0),
        (" 5s ", "s", 5_000_000_000),
        ("0.1s", "s", 100_000_000),
    ],
)
def test_durations(text: str, bare: str, ns: int) -> None:
    assert units.parse_duration(text, bare) == ns


@pytest.mark.parametrize(
    "text", ["", " ", "5x", "s", "5s!", "-5s", "1..5s", "nan", "inf", "5,5s", "s5", "1_000", "٣s"]
)
def test_what_is_no_duration_is_quoted(text: str) -> None:
    with pytest.raises(ValueError) as error:
        units.parse_duration(text)
    assert (
        str(error.value)
        == f"{text!r} is not a duration: a number with ns, us, ms, s, m or h, such as 500ms or 5s"
    )


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (7, "7 ns"),
        (999, "999 ns"),
        (1_000, "1 µs"),
        (138_400, "138 µs"),
        (999_600, "1.00 ms"),
        (172_400_000, "172 ms"),
        (17_240_000, "17.2 ms"),
        (9_996_000, "10.0 ms"),
        (99_960_000, "100 ms"),
        (999_499_999, "999 ms"),
        (999_500_000, "1.00 s"),
        (1_420_000_000, "1.42 s"),
        (5_000_000_000, "5 s"),
        (90_000_000_000, "90 s"),
        (119_960_000_000, "120 s"),
        (200_000_000_000, "3 min 20 s"),
        (180_000_000_000, "3 min"),
        (3_900_000_000_000, "1 h 05 min"),
        (7_200_000_000_000, "2 h"),
        (-1_420_000, "-1.42 ms"),
        (1234.5, "1.23 µs"),
    ],
)
def test_durations_for_people(ns: float, text: str) -> None:
    assert units.format_duration(ns) == text


@given(st.integers(0, 10**15))
def test_a_formatted_duration_reads_back_within_its_digits(ns: int) -> None:
    tolerance = max(0.005 * ns, 30 * units.NS_PER_S if ns >= 3600 * units.NS_PER_S else 0)
    assert abs(units.parse_duration(units.format_duration(ns)) - ns) <= tolerance


@given(st.integers(0, 10**18), st.sampled_from(["ns", "us", "ms", "s", "m", "h"]))
def test_whole_durations_are_exact(count: int, unit: str) -> None:
    assert units.parse_duration(f"{count}{unit}") == units.parse_duration(f"{count}", unit)
    assert units.parse_duration(f"{count}ns") == count


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (25, "25.0/s"),
        (0.5, "0.500/s"),
        (1840, "1,840/s"),
        (999.6, "1,000/s"),
        (125, "125/s"),
        (0, "0/s"),
        (5, "5.00/s"),
    ],
)
def test_rates_for_people(rate: float, text: str) -> None:
    assert units.format_rate(rate) == text


def test_counts_sizes_and_shares_for_people() -> None:
    assert units.format_count(1234567) == "1,234,567"
    assert units.format_bytes(512) == "512 B"
    assert units.format_bytes(1_806_336) == "1.72 MiB"
    assert units.format_bytes(256 * 1024**2) == "256 MiB"
    assert units.format_bytes(5 * 1024**4) == "5,120 GiB"
    assert units.format_percent(0.0123) == "1.23 %"
    assert units.format_percent(0.00000123) == "0.000123 %"


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("1.8MB", 1_800_000), ("256 MiB", 268_435_456), ("64kB", 64_000), ("1b", 1)],
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "5 apples", "-1"])
def test_what_is_no_size_is_quoted(text: str) -> None:
    with pytest.raises(ValueError) as error:
        units.parse_bytes(text)
    assert (
        str(error.value) == f"{text!r} is not a size: a number of bytes, or with kB, MB, GB, KiB, MiB or GiB"
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1:11:2", (1, 3, 5, 7, 9, 11)),
        ("1:4", (1, 2, 3, 4)),
        ("1:4:2", (1, 3)),
        ("1,8", (1, 8)),
        ("8", (8,)),
        ("8, 1", (8, 1)),
        ("1,4:16:4", (1, 4, 8, 12, 16)),
        ("5:5", (5,)),
        ("0", (0,)),
    ],
)
def test_ranges_of_whole_numbers(text: str, values: tuple[int, ...]) -> None:
    assert units.parse_int_range(text) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("10:50:10", (10, 20, 30, 40, 50)),
        ("5,10,20", (5, 10, 20)),
        ("2.5", (2.5,)),
    ],
)
def test_ranges_of_decimals_have_no_rounding_drift(text: str, values: tuple[float, ...]) -> None:
    assert units.parse_float_range(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a whole number"),
        ("a", "'a' is not a whole number"),
        ("1.5", "'1.5' is not a whole number"),
        ("1_0", "'1_0' is not a whole number"),
        ("-1", "'-1' is not a whole number"),
        ("1,", "'' is not a whole number"),
        ("1:4:0", "'1:4:0': the step is 0"),
        ("4:1", "'4:1': the end 1 lies before the start 4"),
        ("4:0:1", "'4:0:1': the end 0 lies before the start 4"),
        ("1:2:3:4", "'1:2:3:4' is not a range: write start:end or start:end:step"),
        ("1:20000", "'1:20000' has 20,000 values; at most 10,000 are measured"),
        ("4,4", "'4,4': 4 stands in it twice"),
        ("4,1:5", "'4,1:5': 4 stands in it twice"),
    ],
)
def test_impossible_ranges(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        units.parse_int_range(text)
    assert str(error.value) == message


@pytest.mark.parametrize("text", ["nan", "inf", "1e", "--1", "0x10", "1/2"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        units.parse_float_range(text)


@given(st.integers(0, 1000), st.integers(0, 200), st.integers(1, 7))
def test_a_range_includes_its_end_when_the_step_meets_it(start: int, count: int, step: int) -> None:
    end = start + count * step
    assert units.parse_int_range(f"{start}:{end}:{step}") == tuple(range(start, end + 1, step))


def test_rates_may_be_shares() -> None:
    assert units.parse_rates("5,50%") == (RequestRate(5), RequestRate(50, percent=True))
    assert units.parse_rates("50%:90%:20%") == tuple(RequestRate(p, percent=True) for p in (50, 70, 90))
    assert units.parse_rates("0.5") == (RequestRate(0.5),)
    assert str(RequestRate(50, percent=True)) == "50 % of the best rate"
    assert str(RequestRate(50)) == "50.0/s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("50%:90", "'50%:90': write the percent sign after each number, as in 50%:90%:20%"),
        ("%", "'%': write the percent sign after each number, as in 50%:90%:20%"),
        ("50%%", "'50%%': write the percent sign after each number, as in 50%:90%:20%"),
        ("50%,50%", "'50%,50%': 50 % of the best rate stands in it twice"),
        ("x%", "'x' is not a number"),
    ],
)
def test_impossible_rates(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        units.parse_rates(text)
    assert str(error.value) == message
