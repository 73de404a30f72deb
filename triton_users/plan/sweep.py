"""The sweep: closed-loop steps and then rates, at each batch size; also as lines to print before it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from triton_users.options.settings import Settings
from triton_users.plan.flows import Batches, Source
from triton_users.plan.measure import LatencyOf, Measure, Result, Stopped
from triton_users.plan.steps import Point, build_step, points, step_name, warm_up_ns
from triton_users.units import NS_PER_S

BETWEEN_STEPS_NS = NS_PER_S
"""Estimate of what a step takes beside its load: connections, the start instant, drain, statistics."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A line of the printed plan. ``duration_ns`` is an estimate; None: until the run is stopped."""

    name: str
    duration_ns: int | None


def describe(settings: Settings, sources: Sequence[Source]) -> list[PlannedStep]:
    """The steps that ``sweep`` will measure. Percentages of a rate still stand as such."""
    load_ns = warm_up_ns(settings, None) + settings.interval_ns
    return [
        PlannedStep(step_name(point, settings), None if point.endless else load_ns + BETWEEN_STEPS_NS)
        for point in points(settings, sources)
    ]


def planned_duration_ns(plan: Sequence[PlannedStep], run_time_ns: int | None) -> int | None:
    """Estimated length of the whole plan, cut short by ``run_time_ns``; None: until it is stopped."""
    durations = [step.duration_ns for step in plan]
    if None in durations:
        return run_time_ns
    total = sum(duration for duration in durations if duration is not None)
    return total if run_time_ns is None else min(total, run_time_ns)


def sweep(
    measure: Measure[Result],
    settings: Settings,
    sources: Sequence[Source],
    skipped: Callable[[str], None] = lambda _: None,
    probe: LatencyOf = lambda _: None,
) -> list[Result]:
    """Measures every point and returns the results in order, what a stop left of the last one included.

    A percentage of the best rate has no meaning when no request succeeded before it at that batch size:
    that point is left out and ``skipped`` gets a sentence. Where a warm-up needs the latency at a batch size
    that has not been measured, ``probe`` is asked for it.
    """
    results: list[Result] = []
    best: dict[Batches, float] = {}
    latency: dict[Batches, int | None] = {}
    for point in points(settings, sources):
        rate = _rate(point, best.get(point.batches, 0.0))
        if rate == 0:
            skipped(f"{step_name(point, settings)} is left out: no request succeeded before it")
            continue
        known = latency.get(point.batches)
        step = build_step(len(results), point, settings, sources, rate=rate, latency_ns=known)
        if known is None and settings.warm_up_ns is None:
            known = probe(step)
            step = replace(step, warm_up_ns=warm_up_ns(settings, known))
        try:
            result = measure(step)
        except Stopped as stop:
            if stop.partial is not None:
                results.append(cast(Result, stop.partial))
            break
        results.append(result)
        latency[point.batches] = result.latency_p50_ns or known
        if point.rate is None:
            best[point.batches] = max(best.get(point.batches, 0.0), result.achieved_request_rate)
    return results


def _rate(point: Point, best: float) -> float | None:
    if point.rate is None:
        return None
    return best * point.rate.value / 100 if point.rate.percent else point.rate.value
