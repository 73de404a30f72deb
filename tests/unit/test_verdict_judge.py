"""Judgements: a table of facts for every reason, and sound facts that have none."""

# ruff: noqa: E501 - sentences that a user reads are asserted whole

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.report.figures import latency_figures
from triton_users.stats.histogram import from_values
from triton_users.verdict.facts import Facts
from triton_users.verdict.judge import judge
from triton_users.verdict.verdict import (
    DOUBTFUL,
    INVALID,
    Severity,
    Verdict,
)

MS = 1_000_000
SOUND = Facts(
    step="batch 1, 100/s poisson",
    open_loop=True,
    scheduled=10_000,
    sent=10_000,
    ok=10_000,
    good=10_000,
    latency_threshold_ns=100 * MS,
    send_lag_p99_ns=200_000,
    service_latency_p50_ns=5 * MS,
    measured_ns=5000 * MS,
    planned_ns=5000 * MS,
    audit_ours=10_000,
    audit_server=10_000,
    generator_cpu={"w1": 0.4},
    windows=5,
)


def reasons(facts: Facts) -> list[tuple[str, Severity]]:
    verdict = judge(facts)
    assert verdict.valid == all(reason.severity == DOUBTFUL for reason in verdict.reasons)
    for reason in verdict.reasons:
        assert reason.step == facts.step
        assert reason.message and reason.advice
    return [(reason.code, reason.severity) for reason in verdict.reasons]


def test_sound_facts_have_no_reason() -> None:
    assert judge(SOUND) == Verdict(valid=True, stable=None)


CASES: list[tuple[dict[str, Any], str, Severity, str]] = [
    (
        {"ok": 9_990, "audit_ours": None},
        "unaccounted",
        INVALID,
        "10 of 10,000 requests are not accounted for",
    ),
    (
        {"ok": 10_001, "audit_ours": None},
        "unaccounted",
        INVALID,
        "-1 of 10,000 requests are not accounted for",
    ),
    (
        {"scheduled": 0, "sent": 0, "ok": 0, "good": 0, "audit_ours": None},
        "nothing_scheduled",
        INVALID,
        "no request fell into the measured time",
    ),
    (
        {"late": 101, "send_lag_p99_ns": 1_200_000},
        "generator_late",
        INVALID,
        "the generator sent 1.01 % of the requests late (send lag p99 1.20 ms)",
    ),
    (
        {"late": 101, "send_lag_p99_ns": 6 * MS, "service_latency_p50_ns": 50 * MS},
        "generator_late",
        INVALID,
        "the generator sent 1.01 % of the requests late (send lag p99 6 ms)",
    ),
    (
        {"unanswered_ns": (2_100 * MS, 2_600 * MS), "slowest_p50_ns": 50 * MS},
        "server_stalled",
        DOUBTFUL,
        "no answer came for 500 ms while requests were in flight, from 2.10 s of the step on",
    ),
    (
        {"scheduled": 10_101, "lost": 101},
        "lost",
        DOUBTFUL,
        "101 requests (1.00 %) were lost with generators that fell silent; up to 1 % is tolerated",
    ),
    (
        {"scheduled": 10_102, "lost": 102},
        "lost",
        INVALID,
        "102 requests (1.01 %) were lost with generators that fell silent; up to 1 % is tolerated",
    ),
    ({"server_ended": "died"}, "server_ended", DOUBTFUL, "the server died during the step"),
    (
        {
            "ok": 9_990,
            "failed": {"UNAVAILABLE": 2, "INTERNAL": 5, "UNKNOWN": 1, "NO_ANSWER": 2},
            "audit_ours": None,
        },
        "failures",
        DOUBTFUL,
        "10 requests failed (0.100 %): INTERNAL 5, NO_ANSWER 2, UNAVAILABLE 2, others 1; latency holds successful requests only",
    ),
    (
        {"scheduled": 12_500, "dropped": 2_500},
        "server_overloaded",
        DOUBTFUL,
        "the server was overloaded: 2,500 arrivals (20 %) were dropped at the in-flight cap, and latency does not hold them",
    ),
    (
        {"audit_server": 10_007},
        "audit_mismatch",
        DOUBTFUL,
        "we count 10,000 successful requests, the server 10,007",
    ),
    (
        {"audit_server": 10_007, "silent": ("worker 1 (b)",)},
        "unrecorded",
        DOUBTFUL,
        "the server answered 7 requests (0.070 %) that nobody recorded: worker 1 (b) fell silent, or windows never came",
    ),
    (
        {"audit_server": 10_200, "silent": ("worker 1 (b)",), "open_loop": False},
        "unrecorded",
        INVALID,
        "the server answered 200 requests (1.96 %) that nobody recorded: worker 1 (b) fell silent, or windows never came",
    ),
    (
        {"audit_ours": None, "audit_server": None, "silent": ("worker 1 (b)",), "open_loop": False},
        "unrecorded",
        DOUBTFUL,
        "worker 1 (b) fell silent, or windows never came: not all that was sent is recorded",
    ),
    (
        {"windows_missing": {"0 (a)": 0, "1 (b)": 2, "2 (a)": 1}},
        "windows_missing",
        DOUBTFUL,
        "3 of 8 windows never came (worker 1 (b): 2, worker 2 (a): 1)",
    ),
    (
        {"clocks": {"worker 0": None, "worker 1": 10 * MS, "worker 2": 100 * MS}},
        "clock_uncertain",
        DOUBTFUL,
        "the clock of worker 2 is known to 100 ms only: arrivals of several workers interleave no better than that",
    ),
    (
        {"clocks": {"worker 1": 11 * MS, "worker 2": 100 * MS + 1}},
        "clock_uncertain",
        INVALID,
        "the clock of worker 2 is known to 100 ms only: arrivals of several workers interleave no better than that",
    ),
    (
        {"stopped": True, "measured_ns": 2100 * MS},
        "cut_short",
        DOUBTFUL,
        "the step was stopped after 2.10 s of 5 s of measurement",
    ),
    (
        {"generator_cpu": {"w1": 0.4, "w2": 0.95}},
        "generator_busy",
        DOUBTFUL,
        "generator w2 used 95 % of a processor: the result may be the generator's limit",
    ),
    (
        {"generator_cpu": {"w1": 0.91, "w2": 0.95}},
        "generator_busy",
        DOUBTFUL,
        "generator w2 used 95 % of a processor (2 workers above 90 %): the result may be the generator's limit",
    ),
    (
        {"good": 0},
        "nothing_in_budget",
        DOUBTFUL,
        "no request was answered within the latency budget of 100 ms",
    ),
    (
        {"scheduled": 100, "sent": 100, "ok": 100, "audit_ours": None},
        "thin_percentiles",
        DOUBTFUL,
        "fewer than 5 of 100 requests lie above p99, p99.9",
    ),
]


@pytest.mark.parametrize(("change", "code", "severity", "message"), CASES)
def test_each_reason_alone(change: dict[str, Any], code: str, severity: Severity, message: str) -> None:
    facts = replace(SOUND, **change)
    assert reasons(facts) == [(code, severity)]
    assert judge(facts).reasons[0].message == message


@pytest.mark.parametrize(
    ("unanswered_ms", "slowest_p50_ms"),
    [(499, 1), (2_000, 2_000), (1_999, 200), (30_000, None)],
)
def test_a_slow_model_is_no_stalled_server(unanswered_ms: int, slowest_p50_ms: int | None) -> None:
    p50_ns = None if slowest_p50_ms is None else slowest_p50_ms * MS
    assert not reasons(replace(SOUND, unanswered_ns=(MS, (1 + unanswered_ms) * MS), slowest_p50_ns=p50_ns))


def test_a_generator_that_does_not_send() -> None:
    facts = replace(SOUND, sent=9_899, ok=9_899, failed={"NO_ANSWER": 101}, audit_ours=None)
    assert reasons(facts) == [("generator_too_slow", INVALID), ("failures", DOUBTFUL)]
    assert judge(facts).reasons[0].message == "the generator did not send 101 of 10,000 requests (1.01 %)"
    assert reasons(replace(facts, sent=9_900, ok=9_900, failed={"NO_ANSWER": 100})) == [
        ("failures", DOUBTFUL)
    ]


@pytest.mark.parametrize("status", ["UNAVAILABLE", "NO_REQUEST"])
def test_what_had_no_connection_or_no_request_is_not_the_generators_fault(status: str) -> None:
    facts = replace(SOUND, sent=5_000, ok=5_000, failed={status: 5_000}, audit_ours=None)
    assert reasons(facts) == [("failures", DOUBTFUL)]


def test_dropped_and_lost_arrivals_were_not_to_be_sent() -> None:
    facts = replace(SOUND, scheduled=12_050, dropped=2_000, lost=50)
    assert reasons(facts) == [("lost", DOUBTFUL), ("server_overloaded", DOUBTFUL)]


def test_of_many_workers_the_first_are_named() -> None:
    absent = tuple(f"worker {n}: 5 never sent" for n in range(1000))
    missing = {f"{n} (a)": 1 for n in range(1000)}
    facts = replace(SOUND, scheduled=20_000, lost=5_000, absent=absent, windows_missing=missing)
    told = {one.code: one.message for one in judge(facts).reasons}
    for code in ("lost", "windows_missing"):
        assert "worker 7" in told[code] and "worker 8" not in told[code]
        assert "and 992 more)" in told[code]


@pytest.mark.parametrize(
    "change",
    [
        {"late": 100, "send_lag_p99_ns": 2 * MS},  # exactly 1 %
        {"late": 5_000, "send_lag_p99_ns": MS},  # exactly 1 ms
        {
            "late": 5_000,
            "send_lag_p99_ns": 4 * MS,
            "service_latency_p50_ns": 50 * MS,
        },  # small beside the service
        {"late": 5_000, "send_lag_p99_ns": None},
        {"late": 5_000, "send_lag_p99_ns": 9 * MS, "open_loop": False},
        {"stopped": True, "planned_ns": None},  # to last until stopped
        {"generator_cpu": {"w1": 0.9}},
        {"good": None, "latency_threshold_ns": None},
        {"good": 1},
        {"audit_ours": None, "audit_server": None},
        {"failed": {"INTERNAL": 0}},
        {"clocks": {"worker 0": 10 * MS, "worker 1": None}},
    ],
)
def test_just_sound_enough(change: dict[str, Any]) -> None:
    assert reasons(replace(SOUND, **change)) == []


def test_a_few_late_requests_are_no_share_to_rely_on() -> None:
    facts = replace(
        SOUND, scheduled=100, sent=100, ok=100, good=100, audit_ours=None, send_lag_p99_ns=20 * MS
    )
    assert ("generator_late", DOUBTFUL) in reasons(replace(facts, late=4))
    assert ("generator_late", INVALID) in reasons(replace(facts, late=5))


def test_drops_of_a_late_generator_are_not_laid_to_the_server() -> None:
    facts = replace(SOUND, scheduled=11_000, dropped=1_000, late=5_000, send_lag_p99_ns=20 * MS)
    assert reasons(facts) == [("generator_late", INVALID), ("dropped", DOUBTFUL)]
    assert judge(facts).reasons[1].message == (
        "1,000 arrivals (9.09 %) were dropped at the in-flight cap while the generator was late itself"
    )


def test_the_worker_that_is_the_limit_is_named_with_how_many_would_do() -> None:
    busy = judge(replace(SOUND, generator_cpu={"0 (a)": 0.95, "1 (b)": 0.91})).reasons[0]
    assert busy.message.startswith("generator 0 (a) used 95 % of a processor (2 workers above 90 %)")
    assert busy.advice == "use 4 workers (--processes 4, or more machines), or lower the rate"
    late = replace(SOUND, late=500, send_lag_p99_ns=2 * MS, generator_lag_ns={"0 (a)": MS, "1 (b)": 3 * MS})
    [reason] = judge(late).reasons
    assert reason.message.endswith("(send lag p99 2 ms), the worst on worker 1 (b): 3 ms")
    assert reason.advice.startswith(
        "add workers (--processes, or more machines), or lower the rate, free proc"
    )
    [reason] = judge(replace(late, generator_cpu={"0 (a)": 0.6, "1 (b)": 0.7})).reasons
    assert reason.advice.startswith(
        "use 3 workers (--processes 3, or more machines), or lower the rate, free"
    )


@pytest.mark.parametrize(("cpu", "enough"), [(0.2, 3), (0.9, 4)])
def test_workers_that_sent_a_part_are_told_how_many_would_send_all(cpu: float, enough: int) -> None:
    facts = replace(
        SOUND,
        scheduled=12_500,
        failed={"NO_ANSWER": 2_500},
        generator_cpu={"0 (a)": cpu, "1 (b)": cpu},
        generator_lag_ns={"0 (a)": MS, "1 (b)": 3 * MS},
    )
    reason = judge(facts).reasons[0]
    assert reason.message == (
        "the generator did not send 2,500 of 12,500 requests (20 %), the worst on worker 1 (b): 3 ms"
    )
    assert (
        reason.advice == f"use {enough} workers (--processes {enough}, or more machines), or lower the rate"
    )


def test_workers_that_sent_nothing_do_not_tell_how_many_would_do() -> None:
    facts = replace(SOUND, sent=0, ok=0, good=0, failed={"NO_ANSWER": 10_000}, audit_ours=None)
    advice = {reason.code: reason.advice for reason in judge(facts).reasons}
    assert advice["generator_too_slow"] == "add workers (--processes, or more machines), or lower the rate"


def test_the_seconds_without_all_slots_are_named() -> None:
    facts = replace(SOUND, open_loop=False, slots=6, slots_off=4, slots_off_in=("7 to 9", "12"))
    [reason] = judge(facts).reasons
    assert (reason.code, reason.severity) == ("concurrency_off", DOUBTFUL)
    assert reason.message == (
        "in 4 s of the measurement the workers did not have the 6 slots asked for"
        " (seconds 7 to 9, 12 of the run)"
    )


def test_nothing_but_failures() -> None:
    facts = replace(SOUND, ok=0, good=0, failed={"INTERNAL": 10_000}, audit_ours=0, audit_server=0)
    assert reasons(facts) == [("no_success", INVALID), ("failures", DOUBTFUL)]
    assert judge(facts).reasons[0].message == "no request succeeded"


@pytest.mark.parametrize("count", [*range(445, 505), 4_949, 4_950, 5_000])
def test_the_verdict_calls_thin_what_the_summary_calls_thin(count: int) -> None:
    facts = replace(SOUND, scheduled=count, sent=count, ok=count, audit_ours=None)
    thin = latency_figures(from_values(np.full(count, MS)))["thin"]
    assert reasons(facts) == ([("thin_percentiles", DOUBTFUL)] if "p99" in thin else [])


counts = st.integers(0, 10**6)


@given(
    st.builds(
        Facts,
        step=st.just("s"),
        open_loop=st.booleans(),
        scheduled=counts,
        sent=counts,
        ok=counts,
        failed=st.dictionaries(st.sampled_from(["UNAVAILABLE", "INTERNAL", "NO_ANSWER"]), counts),
        dropped=counts,
        lost=counts,
        late=counts,
        good=st.none() | counts,
        latency_threshold_ns=st.none() | st.integers(1, 10**12),
        send_lag_p99_ns=st.none() | counts,
        service_latency_p50_ns=st.none() | counts,
    )
)
def test_any_facts_have_a_verdict(facts: Facts) -> None:
    codes = [code for code, _ in reasons(facts)]
    assert len(codes) == len(set(codes))
    assert ("unaccounted" in codes) == (facts.remainder != 0)
