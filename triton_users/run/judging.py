"""From a step's result to the facts that a verdict is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from triton_users.options.settings import Settings
from triton_users.run.lost import Absent
from triton_users.server.audit import Audit
from triton_users.stats.histogram import percentile
from triton_users.stats.result import StepResult
from triton_users.stats.window import SEND_LAG, SERVICE_LATENCY, Hist
from triton_users.units import format_count, format_duration
from triton_users.verdict.facts import Facts


def facts_of(
    result: StepResult,
    settings: Settings,
    *,
    audits: Mapping[str, Audit],
    ended: str | None,
    stopped: bool,
    absent: tuple[Absent, ...] = (),
    silent: Collection[int] = (),
    names: Mapping[int, str] | None = None,
    clocks: Mapping[str, int | None] | None = None,
    slots: int = 0,
    slots_off: Sequence[int] = (),
) -> Facts:
    """``ended`` is what became of the server during the step; ``stopped``: it was cut short. ``absent`` says
    whose requests were lost, ``silent`` which workers have not accounted for all, ``clocks`` how uncertain
    (ns) each worker's clock is, ``slots_off`` in which seconds of the run the workers' slots were not the
    ``slots`` that were asked for."""
    names = names or {}
    whole, step = result.whole, result.step
    ours, server, counted = audited(audits.values())
    return Facts(
        step=step.name,
        open_loop=step.open_loop,
        scheduled=whole.scheduled,
        sent=whole.sent,
        ok=whole.ok,
        failed=dict(whole.failed),
        dropped=whole.dropped,
        lost=whole.lost,
        late=whole.late,
        good=whole.good if settings.latency_threshold_ns is not None else None,
        latency_threshold_ns=settings.latency_threshold_ns,
        send_lag_p99_ns=_percentile(whole.hists.get(SEND_LAG), 99),
        service_latency_p50_ns=_percentile(whole.hists.get(SERVICE_LATENCY), 50),
        slowest_p50_ns=_slowest_p50_ns(result),
        unanswered_ns=_of_step(result.unanswered_ns, result.t0_ns),
        measured_ns=result.measured_ns,
        planned_ns=None if step.interval_ns is None else step.max_trials * step.interval_ns,
        stopped=stopped,
        audit_ours=ours,
        audit_server=server,
        audit_counts=counted,
        server_ended=ended,
        generator_cpu={_name(g.worker, g.host): g.cpu_mean for g in result.generators},
        generator_lag_ns={
            _name(g.worker, g.host): g.send_lag_p99_ns
            for g in result.generators
            if g.send_lag_p99_ns is not None
        },
        absent=tuple(_absent(part, names) for part in absent),
        silent=tuple(names.get(number, f"worker {number}") for number in sorted(silent)),
        clocks=clocks or {},
        slots=slots,
        slots_off=len(slots_off),
        slots_off_in=_stretches(slots_off),
        windows=sum(g.windows for g in result.generators),
        windows_missing={_name(g.worker, g.host): g.windows_missing for g in result.generators},
    )


def audited(audits: Iterable[Audit]) -> tuple[int | None, int | None, str]:
    """Our count and the server's of the models for which they differ, and what was counted; two equal numbers
    where they agree, None where nothing was compared. Of models that the server counted more of and others
    that it counted less of, those that are further off: added up, they would hide each other."""
    compared = [audit for audit in audits if audit.equal is not None]
    if not compared:
        return None, None, ""
    if not (unequal := [audit for audit in compared if not audit.equal]):
        agreed = sum(audit.ours for audit in compared)  # the server may count some errors as successes
        return agreed, agreed, "successful requests"
    requests = _further_off([(audit.ours, audit.server) for audit in unequal])
    if requests != (0, 0):
        return *requests, "successful requests"
    inferences = _further_off([(audit.ours_inferences, audit.server_inferences) for audit in unequal])
    return *inferences, "inferences"


def _further_off(counts: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(ours, the server's): the sum of those with more on one side; (0, 0) where all are equal."""
    sides = [
        (sum(ours for ours, _ in side), sum(server for _, server in side))
        for side in ([c for c in counts if c[1] > c[0]], [c for c in counts if c[1] < c[0]])
    ]
    return max(sides, key=lambda side: abs(side[1] - side[0]))


def _absent(part: Absent, names: Mapping[int, str]) -> str:
    """In words: who, what of it was never sent (or sent after the last word), what sent and unrecorded, what
    overdue, and when that was due."""
    whose = "granted to nobody" if part.worker is None else names.get(part.worker, f"worker {part.worker}")
    when = f"between {format_duration(part.from_ns)} and {format_duration(part.until_ns)} of the step"
    if part.worker is None:
        return f"{format_count(part.never_sent)} {whose} {when}"
    found = {
        "never sent as far as known": part.never_sent,
        "sent but unrecorded": part.unrecorded,
        "not sent, for they were overdue": part.overdue,
    }
    what = ", ".join(f"{format_count(count)} {words}" for words, count in found.items() if count)
    return f"{whose}: {what}, {when}"


def _stretches(seconds: Sequence[int]) -> tuple[str, ...]:
    """From the first to the last of those that follow each other."""
    found: list[list[int]] = []
    for second in seconds:
        if found and found[-1][-1] == second - 1:
            found[-1][1:] = [second]
        else:
            found.append([second])
    return tuple(" to ".join(map(str, stretch)) for stretch in found)


def _slowest_p50_ns(result: StepResult) -> int | None:
    medians = [_percentile(series.hists.get(SERVICE_LATENCY), 50) for series in result.totals.values()]
    return max((median for median in medians if median is not None), default=None)


def _of_step(span: tuple[int, int] | None, t0_ns: int) -> tuple[int, int] | None:
    return None if span is None else (span[0] - t0_ns, span[1] - t0_ns)


def _percentile(hist: Hist | None, q: float) -> int | None:
    return percentile(hist, q) if hist is not None and hist.total else None


def _name(worker: int, host: str | None) -> str:
    return f"{worker} ({host})" if host else str(worker)
