"""``judge``: a step's facts to its verdict. Every rule is a function of facts; every reason has advice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from triton_users.metrics import PERCENTILES
from triton_users.stats.histogram import THIN, thin_percentiles
from triton_users.units import NS_PER_MS, format_count, format_duration, format_percent
from triton_users.verdict.facts import Facts
from triton_users.verdict.stall import server_stalled
from triton_users.verdict.verdict import DOUBTFUL, INVALID, Reason, Severity, Verdict

MIN_SENT_SHARE = 0.99
MAX_LATE_SHARE = 0.01
MIN_LAG_NS = NS_PER_MS
LAG_SHARE_OF_SERVICE = 0.1
MAX_LOST_SHARE = 0.01
MAX_NAMED = 8
MAX_CPU_RATIO = 0.9
GOOD_CPU_RATIO = 0.6
"""Of a processor, a worker has room to be in time."""
ALWAYS_READ_PERCENTILE = 99.0
NOT_THE_GENERATOR = ("UNAVAILABLE", "NO_REQUEST")
"""Arrivals that end so were not sent, for want of a connection or by the user's task."""

DOUBTFUL_CLOCK_NS = 10 * NS_PER_MS
INVALID_CLOCK_NS = 100 * NS_PER_MS

WORKERS_THAT_STAY = "see the workers' logs, and measure the step again with workers that stay"
MORE_GENERATORS = "add workers (--processes, or more machines), or lower the rate"


def judge(facts: Facts) -> Verdict:
    """The verdict on one step: invalid if any reason is. ``stable`` stays None: it takes several trials."""
    reasons = tuple(reason for rule in _RULES if (reason := rule(facts)) is not None)
    valid = all(reason.severity != INVALID for reason in reasons)
    return Verdict(valid=valid, stable=None, reasons=reasons, thresholds=facts.thresholds)


def generator_is_late(facts: Facts) -> bool:
    """More than 1 % late, with a send lag that matters beside the median service latency."""
    lag = facts.send_lag_p99_ns or 0
    limit = max(MIN_LAG_NS, LAG_SHARE_OF_SERVICE * (facts.service_latency_p50_ns or 0))
    return facts.open_loop and facts.late > MAX_LATE_SHARE * facts.sent and lag > limit


def generator_is_short(facts: Facts) -> bool:
    """Less than 99 % sent of the arrivals that the cap let through and that were ours to send."""
    let_through, unsent = _unsent(facts)
    return unsent > max(0.0, (1 - MIN_SENT_SHARE) * let_through)


def _unsent(facts: Facts) -> tuple[int, int]:
    let_through = facts.scheduled - facts.dropped - facts.lost
    excused = sum(facts.failed.get(status, 0) for status in NOT_THE_GENERATOR)
    return let_through, let_through - facts.sent - excused


def _percent(part: float, whole: float) -> str:
    return format_percent(part / whole if whole else 1.0)


def _reason(facts: Facts, code: str, severity: Severity, message: str, advice: str) -> Reason:
    return Reason(code, severity, facts.step, message, advice)


def _short(facts: Facts) -> Reason | None:
    if not generator_is_short(facts):
        return None
    let_through, unsent = _unsent(facts)
    return _reason(
        facts,
        "generator_too_slow",
        INVALID,
        f"the generator did not send {format_count(unsent)} of {format_count(let_through)} requests"
        f" ({_percent(unsent, let_through)}){_slowest(facts)}",
        _more_generators(facts, 1 - unsent / let_through),
    )


def _late(facts: Facts) -> Reason | None:
    if not generator_is_late(facts):
        return None
    return _reason(
        facts,
        "generator_late",
        INVALID if facts.late >= THIN else DOUBTFUL,  # a p99 of single requests
        f"the generator sent {_percent(facts.late, facts.sent)} of the requests late"
        f" (send lag p99 {format_duration(facts.send_lag_p99_ns or 0)}){_slowest(facts)}",
        f"{_more_generators(facts)}, free processors for the generator, or try --realtime",
    )


def _dropped(facts: Facts) -> Reason | None:
    if not facts.dropped:
        return None
    share = f"{format_count(facts.dropped)} arrivals ({_percent(facts.dropped, facts.scheduled)})"
    if generator_is_late(facts) or generator_is_short(facts):
        return _reason(
            facts,
            "dropped",
            DOUBTFUL,
            f"{share} were dropped at the in-flight cap while the generator was late itself",
            f"{MORE_GENERATORS}; then see whether drops remain",
        )
    return _reason(
        facts,
        "server_overloaded",
        DOUBTFUL,
        f"the server was overloaded: {share} were dropped at the in-flight cap,"
        " and latency does not hold them",
        "lower the rate, or raise --max-in-flight to see the backlog grow",
    )


def _unaccounted(facts: Facts) -> Reason | None:
    if not facts.remainder:
        return None
    return _reason(
        facts,
        "unaccounted",
        INVALID,
        f"{format_count(facts.remainder)} of {format_count(facts.scheduled)} requests are not accounted for",
        "do not use these numbers; this is a fault of the load generator: please report it with run.json",
    )


def _lost(facts: Facts) -> Reason | None:
    if not facts.lost:
        return None
    whose = f" ({'; '.join(_some(facts.absent))})" if facts.absent else ""
    too_many = facts.lost > MAX_LOST_SHARE * facts.scheduled
    return _reason(
        facts,
        "lost",
        INVALID if too_many else DOUBTFUL,
        f"{format_count(facts.lost)} requests ({_percent(facts.lost, facts.scheduled)}) were lost"
        f" with generators that fell silent{whose}; up to {format_percent(MAX_LOST_SHARE)} is tolerated",
        WORKERS_THAT_STAY,
    )


def _some(whose: Sequence[str]) -> list[str]:
    """The first few: a hundred workers would hide what is said of them."""
    left = len(whose) - MAX_NAMED
    return [*whose[:MAX_NAMED], *([f"and {format_count(left)} more"] if left > 0 else [])]


def _nothing_ok(facts: Facts) -> Reason | None:
    if facts.ok:
        return None
    if not facts.scheduled:
        return _reason(
            facts,
            "nothing_scheduled",
            INVALID,
            "no request fell into the measured time",
            "raise --measurement-interval or the rate, or see what holds the users up",
        )
    return _reason(
        facts,
        "no_success",
        INVALID,
        "no request succeeded",
        "see the failures and the server's log; try the model with one request",
    )


def _failures(facts: Facts) -> Reason | None:
    if not facts.failures:
        return None
    by_count = sorted(facts.failed.items(), key=lambda item: (-item[1], item[0]))
    top = ", ".join(f"{status} {format_count(count)}" for status, count in by_count[:3] if count)
    rest = sum(count for _, count in by_count[3:])
    others = f", others {format_count(rest)}" if rest else ""
    return _reason(
        facts,
        "failures",
        DOUBTFUL,
        f"{format_count(facts.failures)} requests failed ({_percent(facts.failures, facts.scheduled)}):"
        f" {top}{others}; latency holds successful requests only",
        "see the messages of the failures and the server's log",
    )


def _audit(facts: Facts) -> Reason | None:
    ours, server = facts.audit_ours, facts.audit_server
    if ours is None or server is None or ours == server:
        return None
    if facts.silent and server > ours:
        return _unrecorded(facts, server - ours, server)
    return _reason(
        facts,
        "audit_mismatch",
        DOUBTFUL,
        f"we count {format_count(ours)} {facts.audit_counts}, the server {format_count(server)}",
        "make sure that nobody else uses this model on the server, and measure again",
    )


def _silent(facts: Facts) -> Reason | None:
    """A closed loop has no schedule that would tell what a worker sent after its last window: only the server
    can."""
    if facts.open_loop or not facts.silent or facts.audit_ours != facts.audit_server:
        return None
    if facts.audit_ours is not None:
        return None  # it sent nothing more
    return _reason(
        facts,
        "unrecorded",
        DOUBTFUL,
        f"{_whose(facts)}: not all that was sent is recorded",
        WORKERS_THAT_STAY,
    )


def _unrecorded(facts: Facts, count: int, server: int) -> Reason:
    """Under a rate these are among the lost, and judged there."""
    too_many = not facts.open_loop and count > MAX_LOST_SHARE * server
    return _reason(
        facts,
        "unrecorded",
        INVALID if too_many else DOUBTFUL,
        f"the server answered {format_count(count)} requests ({_percent(count, server)}) that nobody"
        f" recorded: {_whose(facts)}",
        WORKERS_THAT_STAY,
    )


def _whose(facts: Facts) -> str:
    return f"{', '.join(_some(facts.silent))} fell silent, or windows never came"


def _server_ended(facts: Facts) -> Reason | None:
    if facts.server_ended is None:
        return None
    return _reason(
        facts,
        "server_ended",
        DOUBTFUL,
        f"the server {facts.server_ended} during the step",
        "see the server's log; measure the step again on a server that stays up",
    )


def _stopped(facts: Facts) -> Reason | None:
    if not facts.stopped or facts.planned_ns is None:
        return None
    return _reason(
        facts,
        "cut_short",
        DOUBTFUL,
        f"the step was stopped after {format_duration(facts.measured_ns)}"
        f" of {format_duration(facts.planned_ns)} of measurement",
        "let the run end by itself, or shorten --measurement-interval",
    )


def _thin(facts: Facts) -> Reason | None:
    thin = thin_percentiles(facts.ok)
    # p99.9 alone is marked where it stands: nearly every short step would have this reason.
    if not any(PERCENTILES[name] <= ALWAYS_READ_PERCENTILE for name in thin):
        return None
    return _reason(
        facts,
        "thin_percentiles",
        DOUBTFUL,
        f"fewer than {THIN} of {format_count(facts.ok)} requests lie above " + ", ".join(thin),
        "measure longer (--measurement-interval), or leave these percentiles unused",
    )


def _busy(facts: Facts) -> Reason | None:
    busy = {worker: cpu for worker, cpu in facts.generator_cpu.items() if cpu > MAX_CPU_RATIO}
    if not busy:
        return None
    worker = max(busy, key=lambda name: busy[name])
    others = f" ({len(busy)} workers above {format_percent(MAX_CPU_RATIO)})" if len(busy) > 1 else ""
    return _reason(
        facts,
        "generator_busy",
        DOUBTFUL,
        f"generator {worker} used {format_percent(busy[worker])} of a processor{others}:"
        " the result may be the generator's limit",
        _more_generators(facts),
    )


def _more_generators(facts: Facts, share: float = 1.0) -> str:
    """With the number that would do, where that can be told: from their processors, or from the ``share`` of
    the load that they have managed."""
    cpu = facts.generator_cpu
    if not share or not cpu:
        return MORE_GENERATORS
    enough = math.ceil(max(sum(cpu.values()) / GOOD_CPU_RATIO, len(cpu)) / share)
    if enough <= len(cpu):
        return MORE_GENERATORS
    return f"use {enough} workers (--processes {enough}, or more machines), or lower the rate"


def _slowest(facts: Facts) -> str:
    """Which of several workers lagged most."""
    lags = facts.generator_lag_ns
    if len(lags) < 2:
        return ""
    worker = max(lags, key=lambda name: lags[name])
    return f", the worst on worker {worker}: {format_duration(lags[worker])}"


def _windows(facts: Facts) -> Reason | None:
    missing = {worker: count for worker, count in facts.windows_missing.items() if count}
    if not missing:
        return None
    count = sum(missing.values())
    of_each = [f"worker {worker}: {format_count(of_it)}" for worker, of_it in missing.items()]
    whose = ", ".join(_some(of_each))
    return _reason(
        facts,
        "windows_missing",
        DOUBTFUL,
        f"{format_count(count)} of {format_count(facts.windows + count)} windows never came ({whose})",
        "see the workers' logs and the network to the master",
    )


def _budget(facts: Facts) -> Reason | None:
    if facts.latency_threshold_ns is None or facts.good != 0 or not facts.ok:
        return None
    return _reason(
        facts,
        "nothing_in_budget",
        DOUBTFUL,
        f"no request was answered within the latency budget of {format_duration(facts.latency_threshold_ns)}",
        "lower the load, or raise --latency-threshold",
    )


def _clocks(facts: Facts) -> Reason | None:
    unsure = {name: ns for name, ns in facts.clocks.items() if ns is not None and ns > DOUBTFUL_CLOCK_NS}
    if not unsure:
        return None
    worst = max(unsure, key=lambda name: unsure[name])
    return _reason(
        facts,
        "clock_uncertain",
        INVALID if unsure[worst] > INVALID_CLOCK_NS else DOUBTFUL,
        f"the clock of {worst} is known to {format_duration(unsure[worst])} only:"
        " arrivals of several workers interleave no better than that",
        "use a quicker or quieter network between master and workers",
    )


def _slots(facts: Facts) -> Reason | None:
    if not facts.slots_off:
        return None
    return _reason(
        facts,
        "concurrency_off",
        DOUBTFUL,
        f"in {facts.slots_off} s of the measurement the workers did not have the {facts.slots} slots asked"
        f" for (seconds {', '.join(_some(facts.slots_off_in))} of the run)",
        "see which workers came or went, and measure the step again with workers that stay",
    )


_RULES: tuple[Callable[[Facts], Reason | None], ...] = (
    _unaccounted,
    _nothing_ok,
    _short,
    _late,
    _lost,
    _server_ended,
    server_stalled,
    _failures,
    _dropped,
    _audit,
    _silent,
    _windows,
    _clocks,
    _slots,
    _stopped,
    _busy,
    _budget,
    _thin,
)
