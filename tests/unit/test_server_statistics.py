"""Differences of Triton's counters, and how a server that was started again shows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from triton_users.server.statistics import (
    Counts,
    Duration,
    Snapshot,
    StatisticsResetError,
    delta,
    started_again,
)

MODEL = ("m", "1")
BEFORE = Counts(100, 100, success=Duration(100, 9_000), queue=Duration(100, 800))


def after(**change: Duration | int) -> Snapshot:
    return Snapshot({MODEL: replace(BEFORE, **change)})  # type: ignore[arg-type]


def test_the_difference_of_two_moments() -> None:
    split = delta(Snapshot({MODEL: BEFORE}), after(success=Duration(110, 9_500)), "m")
    assert (split.success_count, split.request_ns, split.queue_ns) == (10, 50, None)


@pytest.mark.parametrize(
    "change",
    [
        {"inference_count": 99},
        {"success": Duration(99, 9_500)},
        {"success": Duration(120, 8_000)},  # it has overtaken the old count, but not its time
    ],
)
def test_a_server_that_was_started_again(change: dict[str, Duration | int]) -> None:
    with pytest.raises(StatisticsResetError, match="started again"):
        delta(Snapshot({MODEL: BEFORE}), after(**change), "m")
    assert started_again(Snapshot({MODEL: BEFORE}), after(**change)) == ["m"]
