"""Numbers in columns: one unit, three digits, points below each other."""

from __future__ import annotations

import pytest

from triton_users.report.numbers import MISSING, align, digits, scale_for
from triton_users.units import NS_PER_MS, NS_PER_S, NS_PER_US


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([138 * NS_PER_US, 900 * NS_PER_US, 2 * NS_PER_MS], "µs"),
        ([15 * NS_PER_MS, 172 * NS_PER_MS], "ms"),
        ([1 * NS_PER_S, 2 * NS_PER_S], "ms"),
        ([20 * NS_PER_S, None], "s"),
        ([500], "µs"),
        ([None], "ms"),
        ([], "ms"),
    ],
)
def test_the_middle_value_chooses_the_unit(values: list[int | None], unit: str) -> None:
    assert scale_for(values).unit == unit


def test_the_smallest_value_chooses_the_decimals() -> None:
    scale = scale_for([16_100_000, 218_000_000])
    assert [scale.show(value) for value in (16_123_456, 217_900_000, 234_567, 1_428_160_511, None)] == [
        "16.1",
        "218",
        "0.2",
        "1,428",
        MISSING,
    ]


def test_points_stand_below_each_other() -> None:
    assert align(["0.138", "15.2", "1,840", "~157", MISSING]) == [
        "    0.138",
        "   15.2  ",
        "1,840    ",
        " ~157    ",
        "    –    ",
    ]
    assert align([]) == []


def test_digits_are_three_or_all_of_a_whole_number() -> None:
    assert [digits(value) for value in (0.1384, 9.996, 61.82, 1840.4, None)] == [
        "0.138",
        "10.0",
        "61.8",
        "1,840",
        MISSING,
    ]
