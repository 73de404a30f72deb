"""The verdicts on the goals, and the files that show them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.cases import CASES, PERF_ANALYZER, chosen
from benchmarks.goals import AT_LEAST, AT_MOST, CPU, GOALS, RATE, WITHIN, Goal, best, judge
from benchmarks.measurement import Measurement
from benchmarks.rounds import Results

SYNC, ASYNC = PERF_ANALYZER
RATES = (100, 110, 90, 120, 105, 95, 100)


def rounds_of(
    ours: tuple[float, ...], theirs: tuple[float, ...] = RATES
) -> dict[tuple[str, str], list[Measurement | None]]:
    """Rates, with CPU the inverse of the rate."""
    found: dict[tuple[str, str], list[Measurement | None]] = {}
    for peer, rates in (("ours", ours), (SYNC, theirs)):
        found["closed-1", peer] = [Measurement(rate, 1000 / rate, mean_ns=rate) for rate in rates]
    return found


def goal(figure: str, relation: str, bound: float) -> Goal:
    return Goal("a goal", "closed-1", figure, relation, bound, PERF_ANALYZER)


def test_every_goal_names_a_case_and_its_peers() -> None:
    cases = {case.name: case for case in CASES}

    for one in GOALS:
        assert {one.ours, *one.others} <= set(cases[one.case].peers), one.text
        assert hasattr(Measurement(), one.figure)


def test_the_better_mode_of_each_round_counts() -> None:
    found = {
        ("closed-1", SYNC): [Measurement(100, 5), Measurement(100, 9), None, None],
        ("closed-1", ASYNC): [Measurement(90, 4), Measurement(120, 8), Measurement(80, 7), None],
    }

    assert best(found, goal(RATE, AT_LEAST, 1)) == [100, 120, 80, None]
    assert best(found, goal(CPU, AT_MOST, 1)) == [4, 8, 7, None]


def test_a_rate_is_met_when_its_interval_reaches_it() -> None:
    rounds = rounds_of((120, 130, 110, 150, 130, 110, 100))

    found = judge(goal(RATE, AT_LEAST, 1.22), rounds)

    assert found.found is not None
    assert found.found.median < 1.22 < found.found.high
    assert found.reached is True
    assert judge(goal(RATE, AT_LEAST, 1.3), rounds).reached is False


def test_cpu_is_met_by_its_median_alone() -> None:
    rounds = rounds_of((120, 130, 110, 150, 130, 110, 100))
    found = judge(goal(CPU, AT_MOST, 0.83), rounds)

    assert found.found is not None
    assert found.found.low < 0.83 < found.found.median
    assert found.reached is False


@pytest.mark.parametrize(("factor", "reached"), [(0.96, False), (0.98, True), (1.02, True), (1.04, False)])
def test_agreement_is_meant_both_ways(factor: float, reached: bool) -> None:
    rounds = rounds_of(tuple(factor * rate for rate in RATES))

    assert judge(goal("mean_ns", WITHIN, 0.03), rounds).reached is reached


def test_absolute_figures_are_scaled_to_their_unit() -> None:
    lag = Goal("lag", "poisson", "send_lag_p50_ns", AT_MOST, 40, unit="µs", scale=1e3)

    found = judge(lag, {("poisson", "ours"): [Measurement(send_lag_p50_ns=31_000)]})

    assert found.found is not None
    assert (found.found.median, found.reached) == (31, True)


def test_a_peer_that_is_absent_leaves_the_goal_open() -> None:
    rounds = rounds_of(RATES)
    del rounds["closed-1", "ours"]

    assert judge(goal(RATE, AT_LEAST, 1), rounds).reached is None
    assert judge(goal(RATE, AT_LEAST, 1), {}).reached is None


def test_unknown_cases_are_named_with_those_there_are() -> None:
    assert [case.name for case in chosen("memory, closed-1")] == ["closed-1", "memory"]
    with pytest.raises(ValueError, match="no case closed-2; there are closed-1,"):
        chosen("closed-2")


def test_both_files_are_written_and_earlier_ones_kept(tmp_path: Path) -> None:
    results = Results(7, rounds_of(RATES), ["round 1, closed-1, ours: Triton died"], complete=True)
    run = {"date": "2026-11-20T20:00:00+00:00", "command": "make bench", "quick": False, "minutes": 1.0}

    stems = [report.place(tmp_path, "2026-11-20", "bench")]
    text = report.write(stems[0], results, {"CPU": "a processor"}, run)
    stems.append(report.place(tmp_path, "2026-11-20", "bench"))

    assert [stem.name for stem in stems] == ["2026-11-20-bench", "2026-11-20-bench-2"]
    assert (
        "| requests/s at 1, of the best Perf Analyzer | ≥ 1.25 × | 1.00 [1.00 – 1.00] | 7 | **missed** |"
        in text
    )
    assert "not measured" in text
    assert "- round 1, closed-1, ours: Triton died" in text
    assert "- CPU: a processor" in text
    document = json.loads(stems[0].with_suffix(".json").read_text())
    assert document["measurements"][0]["rounds"][1]["requests_per_s"] == 110
    assert len(document["goals"]) == len(GOALS)


@pytest.mark.parametrize(("rounds", "said"), [(2, "50.0% (2 rounds, too few"), (7, "95.0% (7 rounds, order")])
def test_the_result_says_what_its_intervals_are_worth(rounds: int, said: str) -> None:
    assert said in report.interval_note(rounds)
