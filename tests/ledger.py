"""The ledger: every scheduled request comes to exactly one end. Held by every test that runs load."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from triton_users.stats.window import Key, Series, Window
from triton_users.step import RequestClass

ENDS = ("ok", "failed", "dropped", "lost")


def counts(series: Iterable[Series]) -> Counter[str]:
    """Scheduled, sent and the four ends, added up; ``failed`` over all statuses."""
    total = Counter(dict.fromkeys(("scheduled", "sent", *ENDS), 0))
    for one in series:
        total.update({name: getattr(one, name) for name in ("scheduled", "sent", "ok", "dropped", "lost")})
        total["failed"] += sum(one.failed.values())
    return total


def failures(windows: Sequence[Window]) -> Counter[str]:
    """Failed requests by status, over all windows."""
    found = Counter[str]()
    for window in windows:
        for series in window.series.values():
            found.update(series.failed)
    return found


def ended(total: Mapping[str, int]) -> int:
    return sum(total[name] for name in ENDS)


def assert_window_closes(window: Window) -> None:
    """scheduled + in_flight_start = ok + failed + dropped + lost + in_flight_end."""
    total = counts(window.series.values())
    place = f"window {window.seq} (step {window.step}, second {window.second}): {dict(total)}"
    assert window.in_flight_start >= 0 <= window.in_flight_end, place
    assert total["scheduled"] + window.in_flight_start == ended(total) + window.in_flight_end, (
        f"{place}, in flight {window.in_flight_start} -> {window.in_flight_end}"
    )


def assert_ledger(
    windows: Sequence[Window], *, scheduled: Mapping[str, int] | None = None, drained: bool = True
) -> Counter[str]:
    """Of one worker's windows of one step: each closes, they join, and over all of them each (flow, class,
    trial) closes too. ``scheduled`` is what the schedule holds of each flow (open loop). Returns the totals.
    """
    assert windows, "no window"
    for window in windows:
        assert_window_closes(window)
    for before, after in itertools.pairwise(windows):
        assert after.seq == before.seq + 1
        if after.step == before.step:
            assert after.in_flight_start == before.in_flight_end
            assert after.start_ns == before.end_ns
    by_key: dict[tuple[str, RequestClass, int], list[Series]] = {}
    for window in windows:
        for key, series in window.series.items():
            by_key.setdefault((key.flow, key.cls, key.trial), []).append(series)
    if drained:
        assert windows[0].in_flight_start == 0 == windows[-1].in_flight_end
        for key, parts in by_key.items():
            total = counts(parts)
            assert total["scheduled"] == ended(total), f"{key}: {dict(total)}"
            assert total["sent"] >= total["ok"], f"{key}: {dict(total)}"
    for flow, count in (scheduled or {}).items():
        found = sum(s.scheduled for key, parts in by_key.items() if key[0] == flow for s in parts)
        assert found == count, f"{flow}: {found} scheduled, the schedule holds {count}"
    return counts(series for window in windows for series in window.series.values())


def per_trial(windows: Sequence[Window]) -> dict[int, Counter[str]]:
    """The totals of each trial."""
    trials = sorted({key.trial for window in windows for key in window.series})
    return {t: counts(s for w in windows for k, s in w.series.items() if k.trial == t) for t in trials}


def of_flow(windows: Sequence[Window], flow: str) -> list[tuple[Key, Series]]:
    """All series of one flow."""
    return [(k, s) for w in windows for k, s in w.series.items() if k.flow == flow]
