"""The loads of the bench, in the order in which a round runs them."""

from __future__ import annotations

from benchmarks.measurement import Case

PERF_ANALYZER = ("perf_analyzer_sync", "perf_analyzer_async")
TIMERS = ("bare_timer", "bare_timer_beside_h2load")
LARGE_ELEMENTS = 451_584
"""1.8 MB of FP32: one picture of 672 × 672."""
LARGE_PAYLOADS = 8
"""64 of the large ones would not fit into the response cache (100 MB), and be computed each time."""
POISSON_RATE = 10_000
MONITORING_RATE = 5_000

CASES = (
    Case(
        "closed-1",
        "identity_16",
        ("ours", *PERF_ANALYZER, "h2load", "ours_task", "tritonclient_gevent"),
        in_flight=1,
    ),
    Case(
        "closed-8",
        "identity_16",
        ("ours", *PERF_ANALYZER, "h2load", "ours_task", "tritonclient_gevent"),
        in_flight=8,
    ),
    Case("closed-64", "identity_16", ("ours", *PERF_ANALYZER, "h2load", "ours_task"), in_flight=64),
    Case("poisson", "identity_16", ("ours", *TIMERS), rate=POISSON_RATE),
    Case("poisson-realtime", "identity_16", ("ours", *TIMERS), rate=POISSON_RATE, realtime=True),
    Case(
        "monitoring",
        "identity_16",
        ("ours_unmonitored", "ours_monitored"),
        rate=MONITORING_RATE,
        stretch=2.0,
    ),
    Case(
        "large-1",
        "identity",
        ("ours", *PERF_ANALYZER),
        in_flight=1,
        elements=LARGE_ELEMENTS,
        payloads=LARGE_PAYLOADS,
    ),
    Case(
        "large-4",
        "identity",
        ("ours", *PERF_ANALYZER),
        in_flight=4,
        elements=LARGE_ELEMENTS,
        payloads=LARGE_PAYLOADS,
    ),
    Case("espcn", "espcn", ("ours", "perf_analyzer_sync"), in_flight=1, payloads=8, stretch=2.0),
    Case("first-request", "espcn", ("ours_embedded",)),
    Case("memory", "identity_16", ("ours_memory",), in_flight=64, once=True),
)


def chosen(only: str | None) -> tuple[Case, ...]:
    """The cases named in ``only`` (comma-separated; all without). ValueError names those there are."""
    if only is None:
        return CASES
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {case.name: case for case in CASES}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(f"no case {', '.join(unknown) or 'named'}; there are {', '.join(known)}")
    return tuple(case for case in CASES if case.name in names)
