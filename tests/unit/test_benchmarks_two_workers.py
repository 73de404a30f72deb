"""When two workers count as slower than one."""

from __future__ import annotations

from benchmarks.two_workers import slower


def rounds(p50: list[float], p99: list[float]) -> list[dict[str, float]]:
    return [{"p50_us": low, "p99_us": high} for low, high in zip(p50, p99, strict=True)]


def test_rounds_that_overlap_are_noise() -> None:
    assert slower({1: rounds([200, 260], [900, 950]), 2: rounds([300, 255], [940, 2000])}) == []


def test_slower_in_every_round_is_no_noise() -> None:
    found = {1: rounds([200, 260], [900, 950]), 2: rounds([261, 300], [940, 2000])}
    assert slower(found) == ["p50_us"]


def test_faster_is_no_fault() -> None:
    assert slower({1: rounds([200], [900]), 2: rounds([100], [500])}) == []
