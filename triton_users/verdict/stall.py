"""The rule by which a server stood still: no answer for much longer than its requests take."""

from __future__ import annotations

from triton_users.units import NS_PER_MS, format_duration
from triton_users.verdict.facts import Facts
from triton_users.verdict.verdict import DOUBTFUL, Reason

MIN_STALL_NS = 500 * NS_PER_MS
MIN_STALL_MEDIANS = 10
"""So many median service latencies, of the slowest class: that long no model is silent by its nature."""


def server_stalled(facts: Facts) -> Reason | None:
    """Some had waited all that time: none ended in it."""
    if facts.unanswered_ns is None or facts.slowest_p50_ns is None:
        return None
    from_ns, until_ns = facts.unanswered_ns
    if until_ns - from_ns < max(MIN_STALL_NS, MIN_STALL_MEDIANS * facts.slowest_p50_ns):
        return None
    return Reason(
        "server_stalled",
        DOUBTFUL,
        facts.step,
        f"no answer came for {format_duration(until_ns - from_ns)} while requests were in flight,"
        f" from {format_duration(from_ns)} of the step on",
        "see what held the server, or the network to it, up then; measure the step again",
    )
