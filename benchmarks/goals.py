"""The issue's goals as a table, and what a run's rounds say about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cases import PERF_ANALYZER
from benchmarks.intervals import Interval, interval, ratios
from benchmarks.measurement import Measurement

AT_LEAST, AT_MOST, WITHIN = "≥", "≤", "1 ±"
RATE, CPU = "requests_per_s", "cpu_us_per_request"

Rounds = Mapping[tuple[str, str], Sequence[Measurement | None]]
"""(case, peer): one measurement a round, None where there is none."""


@dataclass(frozen=True, slots=True)
class Goal:
    """``figure`` of ``ours`` in ``case``, divided by that of ``others`` if there are any; its ``bound``.

    Of several others the better one of each round counts. ``scale`` divides an absolute figure into ``unit``.
    A rate is met when its interval reaches the bound; everything else when its median does.
    """

    text: str
    case: str
    figure: str
    relation: str
    bound: float
    others: tuple[str, ...] = ()
    ours: str = "ours"
    unit: str = "×"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``found`` None: not measured. ``reached`` says whether the goal is met."""

    goal: Goal
    found: Interval | None
    reached: bool | None


def _closed() -> list[Goal]:
    bounds = {1: (0.5, 1.25, 0.88, 1.2), 8: (0.25, 1.5, 0.92, 1.4), 64: (0.12, 2.2, 0.92, 1.6)}
    goals = []
    for n, (cpu, rate, _, _) in bounds.items():
        case = f"closed-{n}"
        goals.append(
            Goal(f"CPU per request at {n}, of Perf Analyzer's", case, CPU, AT_MOST, cpu, PERF_ANALYZER)
        )
        text = f"requests/s at {n}, of the best Perf Analyzer"
        goals.append(Goal(text, case, RATE, AT_LEAST, rate, PERF_ANALYZER))
    for n, (_, _, h2load, _) in bounds.items():
        goals.append(
            Goal(f"requests/s at {n}, of h2load", f"closed-{n}", RATE, AT_LEAST, h2load, ("h2load",))
        )
    text = "median latency at 1, of Perf Analyzer's"
    goals.append(Goal(text, "closed-1", "p50_ns", AT_MOST, 0.8, PERF_ANALYZER))
    for n, (_, _, _, task) in bounds.items():
        text = f"@task with infer(), {n} users, requests/s of Perf Analyzer's"
        goals.append(Goal(text, f"closed-{n}", RATE, AT_LEAST, task, PERF_ANALYZER, ours="ours_task"))
    return goals


def _poisson() -> list[Goal]:
    goals = []
    for case, p50, p99, late in (("poisson", 40, 220, 0.3), ("poisson-realtime", 35, 100, 0.05)):
        say = "Poisson 10,000/s" + (" --realtime" if "realtime" in case else "")
        for text, figure, bound, unit, scale in (
            ("send lag p50", "send_lag_p50_ns", p50, "µs", 1e3),
            ("send lag p99", "send_lag_p99_ns", p99, "µs", 1e3),
            ("late share", "late_ratio", late, "%", 0.01),
        ):
            goals.append(Goal(f"{say}: {text}", case, figure, AT_MOST, bound, unit=unit, scale=scale))
    return goals


def _others() -> list[Goal]:
    goals = []
    for n in (1, 4):
        case, say = f"large-{n}", f"1.8 MB each way, {n} in flight"
        goals.append(Goal(f"{say}: requests/s", case, RATE, AT_LEAST, 1.2, PERF_ANALYZER))
        goals.append(Goal(f"{say}: CPU per request", case, CPU, AT_MOST, 0.4, PERF_ANALYZER))
    memory = "growth of memory at full speed, over 2 minutes"
    first = "command to first request, embedded Triton included"
    mean = "mean latency on the super-resolution model, of Perf Analyzer's"
    watched = "agent and feed on, Poisson 5,000/s: a second's send lag p99, of that with both off"
    return [
        *goals,
        Goal(
            *(watched, "monitoring", "send_lag_p99_median_ns", AT_MOST, 1.2, ("ours_unmonitored",)),
            ours="ours_monitored",
        ),
        Goal(memory, "memory", "rss_slope_mb_per_min", AT_MOST, 1.0, ours="ours_memory", unit="MB/min"),
        Goal(first, "first-request", "first_request_s", AT_MOST, 6.0, ours="ours_embedded", unit="s"),
        Goal(mean, "espcn", "mean_ns", WITHIN, 0.03, ("perf_analyzer_sync",)),
    ]


GOALS = (*_closed(), *_poisson(), *_others())


def series(rounds: Rounds, case: str, peer: str, figure: str) -> list[float | None]:
    """One value a round; empty when the peer did not take part."""
    return [None if one is None else getattr(one, figure) for one in rounds.get((case, peer), ())]


def best(rounds: Rounds, goal: Goal) -> list[float | None]:
    """Round by round the best of the others: the highest rate, the lowest of anything else."""
    pick: Callable[[list[float]], float] = max if goal.figure == RATE else min
    all_columns = (series(rounds, goal.case, other, goal.figure) for other in goal.others)
    columns = [column for column in all_columns if column]
    rows = [[value for value in row if value is not None] for row in zip(*columns, strict=True)]
    return [pick(row) if row else None for row in rows]


def judge(goal: Goal, rounds: Rounds) -> Answer:
    ours = series(rounds, goal.case, goal.ours, goal.figure)
    if goal.others:
        others = best(rounds, goal)
        values = ratios(ours, others) if ours and others else []
    else:
        values = [value / goal.scale for value in ours if value is not None]
    if not values:
        return Answer(goal, None, None)
    found = interval(values)
    if goal.relation == WITHIN:
        return Answer(goal, found, abs(found.median - 1) <= goal.bound)
    if goal.relation == AT_MOST:
        return Answer(goal, found, found.median <= goal.bound)
    return Answer(goal, found, found.high >= goal.bound)
