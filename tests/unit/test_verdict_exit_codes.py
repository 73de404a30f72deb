"""Exit codes, and the verdict of a whole run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from triton_users.verdict.facts import Facts
from triton_users.verdict.judge import judge
from triton_users.verdict.verdict import INVALID, Reason, Threshold, Verdict, combine, exit_code

MET, MISSED = Threshold("p99 <= 1 ms", 0.5, True), Threshold("p99 <= 1 ms", 2.0, False)
OPEN = Threshold("p99 <= 1 ms", None, None)
FAILURES = Threshold("failures <= 1 %", 0.5, True, on_failures=True)


@pytest.mark.parametrize(
    ("valid", "thresholds", "failures", "on_error", "code"),
    [
        (True, (), 0, 1, 0),
        (True, (), 3, 1, 1),
        (True, (), 3, 0, 0),
        (True, (), 3, 7, 7),
        (True, (), 0, 7, 0),
        (True, (MET,), 0, 1, 0),
        (True, (MET,), 3, 1, 1),
        (True, (FAILURES,), 3, 1, 0),
        (True, (MET, MISSED), 0, 1, 3),
        (True, (MISSED,), 3, 1, 3),
        (True, (MISSED, OPEN), 0, 1, 4),
        (False, (), 0, 1, 4),
        (False, (MISSED,), 3, 7, 4),
    ],
)
def test_exit_codes(
    valid: bool, thresholds: tuple[Threshold, ...], failures: int, on_error: int, code: int
) -> None:
    assert exit_code(Verdict(valid, None, (), thresholds), failures, on_error) == code


def test_nothing_could_be_measured_is_2() -> None:
    assert exit_code(None, 0) == 2


def test_a_run_is_as_good_as_its_worst_step() -> None:
    reason = Reason("lost", INVALID, "b", "m", "a")
    good, bad = Verdict(True, True, (), (MET,)), Verdict(False, None, (reason,))
    assert combine([good, bad]) == Verdict(False, True, (reason,), (MET,))
    assert combine([good, replace(good, stable=False)]).stable is False
    assert combine([Verdict(True, None)]) == Verdict(True, None)


def test_a_run_without_a_step_is_not_valid() -> None:
    verdict = combine([])
    assert (verdict.valid, verdict.reasons[0].code, verdict.reasons[0].step) == (
        False,
        "nothing_measured",
        None,
    )
    assert exit_code(verdict, 0) == 4


def test_thresholds_pass_through() -> None:
    facts = Facts(step="s", open_loop=False, scheduled=1, sent=1, ok=1, thresholds=(MET, MISSED))
    assert judge(facts).thresholds == (MET, MISSED)
