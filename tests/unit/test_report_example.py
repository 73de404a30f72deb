"""One made-up run that the tests of all reports share, and the proof that it is what it says."""

from __future__ import annotations

import numpy as np

from triton_users.report.outcome import RunOutcome, ServerInfo, StepOutcome
from triton_users.server.audit import Audit
from triton_users.server.statistics import Split
from triton_users.stats.histogram import from_values
from triton_users.stats.merge import merge_series
from triton_users.stats.result import GeneratorResult, Owner, StepResult, Trial, ledger
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, Series
from triton_users.step import CLOSED, POISSON, Flow, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S, NS_PER_US
from triton_users.verdict.verdict import DOUBTFUL, INVALID, Reason, Threshold, Verdict, combine

ZERO_NS = 1_700_000_000_000_000_000
SECONDS = 5
SHAPE = (("INPUT", (1, 224, 224)),)
SMALL = RequestClass("espcn", 1, SHAPE)
LARGE = RequestClass("espcn", 8, SHAPE)


def series_of(cls: RequestClass, rate: float, latency_ms: float, **counts: int) -> Series:
    """``SECONDS`` of answers at ``rate``, their latencies spread over ±10 %, and 3 % of them tripled."""
    ok = round(rate * SECONDS)
    spread = np.linspace(0.9, 1.1, ok) * latency_ms * NS_PER_MS
    spread[: ok // 33] *= 3
    latency = spread.astype(np.int64)
    lag = np.full(ok, 40 * NS_PER_US)
    failed = {"UNAVAILABLE": counts.pop("failed", 0)}
    scheduled = ok + failed["UNAVAILABLE"] + counts.get("dropped", 0) + counts.get("lost", 0)
    return Series(
        scheduled=scheduled,
        sent=ok + failed["UNAVAILABLE"],
        ok=ok,
        failed={status: count for status, count in failed.items() if count},
        inferences=ok * cls.batch_size,
        completed=ok,
        completed_inferences=ok * cls.batch_size,
        good=ok // 2,
        hists={
            LATENCY: from_values(latency),
            SERVICE_LATENCY: from_values(latency - lag),
            SEND_LAG: from_values(lag),
        },
        **counts,
    )


def flow_of(*classes: RequestClass, users: int | None = None, rate: float | None = None) -> Flow:
    process = CLOSED if rate is None else POISSON
    return Flow("ImageUser", "ImageUser", "espcn", process, rate, users, tuple((cls, 1.0) for cls in classes))


def step_of(
    index: int, name: str, flow: Flow, totals: dict[Owner, Series], messages: tuple[tuple[str, str, int], ...]
) -> StepResult:
    step = Step(index, name, (flow,), 2 * NS_PER_S, SECONDS * NS_PER_S)
    t0 = index * 8 * NS_PER_S
    start = t0 + step.warm_up_ns
    whole = merge_series(totals.values())
    generator = GeneratorResult(
        worker=0,
        host="box",
        cpu_mean=0.12,
        cpu_max=0.2,
        send_lag_p99_ns=41 * NS_PER_US,
        scheduled=whole.scheduled,
        sent=whole.sent,
        late=whole.late,
        dropped=whole.dropped,
        lost=whole.lost,
        windows=8,
        windows_missing=0,
        loop_stall_max_ns=3 * NS_PER_MS,
        loop_stalls=1,
        gc_collections=0,
    )
    return StepResult(
        step=step,
        t0_ns=t0,
        trials=(Trial(start, start + SECONDS * NS_PER_S, totals),),
        totals=totals,
        whole=whole,
        unmeasured={},
        lost=whole.lost,
        generators=(generator,),
        messages=messages,
    )


def split_of(series: Series, latency_ms: float, cache_hits: int = 0) -> Split:
    return Split(
        success_count=series.ok,
        fail_count=0,
        inference_count=series.inferences - cache_hits,
        execution_count=max(series.ok // 2, 1),
        cache_hits=cache_hits,
        cache_misses=0,
        mean_executed_batch=series.inferences / max(series.ok // 2, 1),
        request_ns=round(0.95 * latency_ms * NS_PER_MS),
        queue_ns=round(0.2 * latency_ms * NS_PER_MS),
        compute_input_ns=round(0.01 * latency_ms * NS_PER_MS),
        compute_infer_ns=round(0.7 * latency_ms * NS_PER_MS),
        compute_output_ns=round(0.02 * latency_ms * NS_PER_MS),
        cache_hit_ns=None,
        cache_miss_ns=None,
    )


def outcome_of(
    index: int,
    name: str,
    flow: Flow,
    parts: dict[RequestClass, Series],
    *reasons: Reason,
    latency_ms: float,
    messages: tuple[tuple[str, str, int], ...] = (),
    skipped: str | None = None,
) -> StepOutcome:
    result = step_of(index, name, flow, {(flow.name, cls): part for cls, part in parts.items()}, messages)
    whole = result.whole
    return StepOutcome(
        result=result,
        verdict=Verdict(
            valid=all(reason.severity != INVALID for reason in reasons), stable=None, reasons=reasons
        ),
        server={"espcn": split_of(whole, latency_ms)},
        audits={
            "espcn": Audit(
                whole.ok, whole.ok, whole.inferences, whole.inferences, None if skipped else True, skipped
            )
        },
        model_versions={"espcn": "1"},
    )


def sound_and_overloaded() -> tuple[StepOutcome, ...]:
    """Closed loop at two batch sizes, and an open loop that overloads the server."""
    overload = "batch 1, 240/s poisson"
    return (
        outcome_of(
            0,
            "batch 1, concurrency 1",
            flow_of(SMALL, users=1),
            {SMALL: series_of(SMALL, 61.8, 16)},
            latency_ms=16,
        ),
        outcome_of(
            1,
            "batch 1, concurrency 64",
            flow_of(SMALL, users=64),
            {SMALL: series_of(SMALL, 1100, 58)},
            latency_ms=58,
        ),
        outcome_of(
            2,
            "batch 8, concurrency 4",
            flow_of(LARGE, users=4),
            {LARGE: series_of(LARGE, 18.4, 217)},
            latency_ms=217,
        ),
        outcome_of(
            3,
            overload,
            flow_of(SMALL, rate=240),
            {SMALL: series_of(SMALL, 118, 1420, dropped=610, late=3)},
            Reason(
                "server_overloaded",
                DOUBTFUL,
                overload,
                "the server was overloaded: 610 arrivals (50.8 %) were dropped at the in-flight cap, and "
                "latency holds the others only",
                "lower the rate, or raise --max-in-flight to see the backlog grow",
            ),
            latency_ms=1420,
        ),
    )


def failing_mix(index: int) -> StepOutcome:
    """A mix in which requests fail."""
    mix = "batch mix 1=80,8=20, 25.0/s poisson"
    return outcome_of(
        index,
        mix,
        flow_of(SMALL, LARGE, rate=25),
        {SMALL: series_of(SMALL, 20, 18, failed=3), LARGE: series_of(LARGE, 5, 60)},
        Reason(
            "failures", DOUBTFUL, mix, "3 requests failed (2.34 %): UNAVAILABLE 3", "see the server's log"
        ),
        Reason(
            "thin_percentiles",
            DOUBTFUL,
            mix,
            "fewer than 5 of 125 requests lie above p99",
            "measure longer",
        ),
        latency_ms=26,
        messages=(("UNAVAILABLE", "connection to 127.0.0.1:8001 was closed", 3),),
        skipped="connections were lost during the step",
    )


def example_run(latency_threshold_ns: int | None = None) -> RunOutcome:
    """Closed loop at two batch sizes, an overloaded open loop, and a mix in which requests fail."""
    before = sound_and_overloaded()
    steps = (*before, failing_mix(len(before)))
    verdict = combine(step.verdict for step in steps)
    return RunOutcome(
        id="4f2a",
        seed=7,
        zero_wall_ns=ZERO_NS,
        duration_ns=41 * NS_PER_S,
        command=("locust", "-f", "sr.py", "--headless", "--token", "s3cret"),
        versions={"triton-users": "0.1.0", "python": "3.11.2", "triton": "2.51.0"},
        workers=1,
        server=ServerInfo("grpc://me:s3cret@127.0.0.1:8001", "2.51.0", True, ("statistics",)),
        steps=steps,
        verdict=Verdict(
            verdict.valid, None, verdict.reasons, (Threshold("p99(latency) < 100ms", 0.174, False),)
        ),
        latency_threshold_ns=latency_threshold_ns,
    )


def test_the_example_accounts_for_every_request() -> None:
    for step in example_run().steps:
        assert [ledger(series) for series in (step.result.whole, *step.result.totals.values())] == [0] * (
            1 + len(step.result.totals)
        )
