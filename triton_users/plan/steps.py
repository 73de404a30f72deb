"""Points: what a sweep will measure, in order; and the step that each becomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triton_users import units
from triton_users.options.settings import Settings
from triton_users.plan.flows import Batches, Source, closed_flows, open_flows
from triton_users.step import Step
from triton_users.units import NS_PER_S, RequestRate

MIN_WARM_UP_NS = 2 * NS_PER_S
WARM_UP_LATENCIES = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a sweep: ``users`` in closed loop or ``rate`` in open loop, at one batch size or mix.

    ``endless``: it lasts until the run is stopped (Locust's -u without a range).
    """

    batches: Batches
    batch_name: str
    users: int | None = None
    rate: RequestRate | None = None
    endless: bool = False


def points(settings: Settings, sources: Sequence[Source]) -> Iterator[Point]:
    """For each batch size, or the one mix, each concurrency and then each rate."""
    for batches, name in _batches(settings, sources):
        if settings.users is not None:
            yield Point(batches, name, users=settings.users, endless=True)
            continue
        alone = not settings.concurrency and not settings.request_rates
        for users in (1,) if alone else settings.concurrency:
            yield Point(batches, name, users=users)
        for rate in settings.request_rates:
            yield Point(batches, name, rate=rate)


def _batches(settings: Settings, sources: Sequence[Source]) -> Iterator[tuple[Batches, str]]:
    if not any(source.follows_plan for source in sources):
        yield ((1, 1.0),), ""  # the user classes say what they send
    elif settings.batch_mix:
        mix = ",".join(f"{size}={weight:g}" for size, weight in settings.batch_mix)
        yield settings.batch_mix, f"batch mix {mix}"
    else:
        for size in settings.batch_sizes:
            yield ((size, 1.0),), f"batch {size}"


def step_name(point: Point, settings: Settings, rate: float | None = None) -> str:
    """``batch 8, concurrency 4``, ``batch 1, 25.0/s poisson``, ``batch 1, 61.7/s poisson (50 %)``.

    ``rate`` is what a percentage has come to; without it the plan's words stand in.
    """
    if point.rate is None:
        load = f"concurrency {point.users}"
    elif not point.rate.percent:
        load = f"{_exact_rate(point.rate.value)} {settings.distribution}"
    elif rate is None:
        load = f"{point.rate}, {settings.distribution}"
    else:
        load = f"{units.format_rate(rate)} {settings.distribution} ({point.rate.value:g} %)"
    return f"{point.batch_name}, {load}" if point.batch_name else load


def _exact_rate(rate: float) -> str:
    """As for people, but never shortened: two rates of one range must not share a name."""
    text = units.format_rate(rate)
    return text if float(text.removesuffix("/s").replace(",", "")) == rate else f"{rate:.12g}/s"


def build_step(
    index: int,
    point: Point,
    settings: Settings,
    sources: Sequence[Source],
    *,
    rate: float | None = None,
    latency_ns: int | None = None,
) -> Step:
    """The step of ``point``: ``rate`` is its rate in requests per second (for a percentage, resolved) and
    ``latency_ns`` the last median latency at the same batch size, or what a request alone took before it."""
    if point.users is not None:
        flows = closed_flows(sources, point.batches, point.users)
    else:
        assert rate is not None, "an open-loop step has a rate"
        flows = open_flows(sources, point.batches, rate, settings.distribution)
    return Step(
        index=index,
        name=step_name(point, settings, rate),
        flows=flows,
        warm_up_ns=warm_up_ns(settings, latency_ns),
        interval_ns=None if point.endless else settings.interval_ns,
        drain_ns=settings.drain_ns,
        max_in_flight=settings.max_in_flight,
    )


def warm_up_ns(settings: Settings, latency_ns: int | None) -> int:
    """The option, else the longer of 2 s and three latencies (2 s while none is known), of a run with -t at
    most a quarter of it."""
    if settings.warm_up_ns is not None:
        return settings.warm_up_ns
    wanted = max(MIN_WARM_UP_NS, WARM_UP_LATENCIES * (latency_ns or 0))
    return wanted if settings.run_time_ns is None else min(wanted, settings.run_time_ns // 4)
