"""The plan before the load, and one plain line now and then while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.text import Text

from triton_users import units
from triton_users.report.numbers import align
from triton_users.stats.histogram import percentile
from triton_users.stats.lines import line_hist
from triton_users.stats.window import LATENCY, SEND_LAG
from triton_users.step import Step
from triton_users.units import NS_PER_S

TROUBLES = ("failed", "dropped", "lost", "late")
WIDTH = 100
"""Columns of a line while load runs."""
SPARED = ("in flight", "p50", "lag ")
"""What a line that is too long leaves out, in this order; then its name is cut."""
UNTIL_STOPPED = "until stopped"


class Planned(Protocol):
    """A step of the plan; ``duration_ns`` is an estimate, None until the run is stopped."""

    @property
    def name(self) -> str: ...
    @property
    def duration_ns(self) -> int | None: ...


def plan_lines(plan: Sequence[Planned], total_ns: int | None) -> list[Text]:
    """What will be measured, numbered, with estimated durations; ``total_ns`` None: without an end."""
    total = UNTIL_STOPPED if total_ns is None else f"about {units.format_duration(total_ns)}"
    steps = "1 step" if len(plan) == 1 else f"{units.format_count(len(plan))} steps"
    lines = [Text(f"Plan: {steps}, {total}", "bold")]
    numbers = align([str(number) for number in range(1, len(plan) + 1)])
    width = max((len(step.name) for step in plan), default=0)
    for number, step in zip(numbers, plan, strict=True):
        duration = (
            UNTIL_STOPPED if step.duration_ns is None else f"about {units.format_duration(step.duration_ns)}"
        )
        lines.append(Text(f"  {number}  {step.name.ljust(width)}  {duration}"))
    return lines


def progress_line(
    step: Step, number: int, planned: int, at_ns: int, line: Mapping[str, Any] | None = None
) -> str:
    """Where step ``number`` of ``planned`` is, ``at_ns`` after its t0, and how its last merged second went;
    at most WIDTH columns.

    ``line`` is that second as the timeline merged it; None before the first, or one of another step, says
    nothing of the load.
    """
    load = _load(line, open_loop=step.open_loop) if line is not None and line["step"] == step.index else []
    parts = [phase(step, at_ns), *load]
    head = f"[{number}/{planned}] "
    for spared in SPARED:
        if len(_joined(head + step.name, parts)) > WIDTH:
            parts = [part for part in parts if spared not in part]
    room = WIDTH - len(_joined(head, parts))
    name = step.name if len(step.name) <= room else f"{step.name[: max(room - 1, 0)]}…"
    return _joined(head + name, parts)


def _joined(head: str, parts: Sequence[str]) -> str:
    return " · ".join((head, *parts))


def phase(step: Step, at_ns: int) -> str:
    """``warm-up 1 of 2 s``, ``measuring 3 of 5 s``, ``measuring 3 s`` without a planned end, ``draining``."""
    if at_ns < step.warm_up_ns:
        return f"warm-up {_of(at_ns, step.warm_up_ns)}"
    if step.length_ns is None:
        return f"measuring {units.format_duration(_whole(at_ns - step.warm_up_ns))}"
    if at_ns < step.length_ns:
        return f"measuring {_of(at_ns - step.warm_up_ns, step.length_ns - step.warm_up_ns)}"
    return "draining"


def _of(at_ns: int, length_ns: int) -> str:
    if length_ns >= 120 * NS_PER_S:
        return f"{units.format_duration(_whole(at_ns))} of {units.format_duration(length_ns)}"
    return f"{max(at_ns, 0) // NS_PER_S} of {round(length_ns / NS_PER_S, 1):g} s"


def _whole(duration_ns: int) -> int:
    return max(duration_ns, 0) // NS_PER_S * NS_PER_S


def _load(line: Mapping[str, Any], *, open_loop: bool) -> list[str]:
    series = line["series"]
    length_ns = line["end_ns"] - line["start_ns"]
    parts = []

    def rate(name: str) -> str:
        return units.format_rate(sum(one[name] for one in series) * NS_PER_S / length_ns)

    if length_ns > 0:
        offered = f"{rate('ok').removesuffix('/s')} of {rate('scheduled')}"
        parts.append(offered if open_loop else rate("ok"))
    latency = line_hist(line, LATENCY)
    if latency.total:
        parts += [f"p{q} {units.format_duration(percentile(latency, q))}" for q in (50, 99)]
    if open_loop and (lag := line_hist(line, SEND_LAG)).total:
        parts.append(f"lag p99 {units.format_duration(percentile(lag, 99))}")
    parts.append(f"{units.format_count(line['in_flight'])} in flight")
    parts += [f"{units.format_count(count)} {name}" for name, count in _troubles(series).items() if count]
    return parts


def _troubles(series: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    failed = sum(sum(one["failed"].values()) for one in series)
    return {"failed": failed} | {name: sum(one[name] for one in series) for name in TROUBLES[1:]}
