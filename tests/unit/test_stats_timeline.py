"""The timeline: seconds for the spool, the step's result, and what is said about what is missing."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_stats_merge import plain
from triton_users.sinks.spool import to_json
from triton_users.stats import merge as merge_module
from triton_users.stats import timeline as timeline_module
from triton_users.stats.codec import decode, encode
from triton_users.stats.histogram import from_values
from triton_users.stats.lines import line_series
from triton_users.stats.merge import merge_series
from triton_users.stats.result import ledger
from triton_users.stats.step_sum import trial_bounds
from triton_users.stats.timeline import Timeline
from triton_users.stats.window import LATENCY, SEND_LAG, Generator, Key, Series, Window
from triton_users.step import RequestClass, Step
from triton_users.units import NS_PER_S

ONE, TWO = RequestClass("m", 1), RequestClass("m", 8)
STEP = Step(0, "s", (), warm_up_ns=NS_PER_S, interval_ns=2 * NS_PER_S, max_trials=3)


def window(
    worker: int, seq: int, second: int, series: dict[Key, Series] | None = None, step: int = 0
) -> Window:
    return Window(
        worker, seq, second, step, second * NS_PER_S, (second + 1) * NS_PER_S, series or {},
        2, 3, 4, Generator(0.1 * (worker + 1), 1000 * worker, worker, 1), (("INTERNAL", "boom", 1),),
    )  # fmt: skip


def some(trial: int, count: int = 10, cls: RequestClass = ONE, **more: int) -> dict[Key, Series]:
    values = np.arange(1, count + 1) * 1000
    hists = {LATENCY: from_values(values), SEND_LAG: from_values(values // 10)}
    return {
        Key("f", cls, trial): Series(
            scheduled=count, sent=count, ok=count, completed=count, hists=hists, **more
        )
    }


def written(line: dict) -> dict:
    """As the spool has it."""
    return orjson.loads(to_json(line))


def places(lines: list[dict]) -> list[tuple[int, int, int]]:
    return [(line["step"], line["second"], line["revision"]) for line in lines]


def test_a_second_waits_for_all_that_are_expected() -> None:
    timeline = Timeline()
    timeline.expect([0, 1])
    assert timeline.add(window(0, 0, 0, some(0))) == []
    lines = timeline.add(window(1, 0, 0, some(0, 5)))
    assert places(lines) == [(0, 0, 0)]
    assert plain(line_series(lines[0])) == plain(
        {key: merge_series([s, some(0, 5)[key]]) for key, s in some(0).items()}
    )
    assert lines[0]["in_flight"] == 6
    assert lines[0]["users"] == 8
    assert lines[0]["messages"] == [["INTERNAL", "boom", 2]]
    assert [(one["worker"], one["seq"]) for one in lines[0]["generators"]] == [(0, 0), (1, 0)]


def test_a_silent_worker_holds_a_second_up_for_a_while_only() -> None:
    timeline = Timeline()
    timeline.expect([0, 1])
    assert [places(timeline.add(window(0, i, i))) for i in range(4)] == [[], [], [(0, 0, 0)], [(0, 1, 0)]]
    assert places(timeline.expect([0])) == [(0, 2, 0), (0, 3, 0)]


def test_a_late_window_makes_its_line_anew() -> None:
    timeline = Timeline()
    assert places(timeline.add(window(0, 0, 0, some(0)))) == [(0, 0, 0)]
    again = timeline.add(window(1, 0, 0, some(1)))
    assert places(again) == [(0, 0, 1)]
    assert plain(line_series(again[0])) == plain({**some(0), **some(1)})
    timeline.close(STEP, 0)
    assert places(timeline.add(window(2, 0, 0))) == [(0, 0, 2)]


def test_seconds_that_were_written_are_small(monkeypatch) -> None:
    """What is left of a second at 10,000/s by four workers, for windows that are late."""
    monkeypatch.setattr(timeline_module, "HISTORY_S", 1000)
    monkeypatch.setattr(merge_module, "_HELD", 4)
    timeline = Timeline()
    timeline.expect(range(4))
    rng = np.random.default_rng(1)
    sizes = []
    tracemalloc.start()
    for second in range(48):
        for worker in range(4):
            values = rng.lognormal(14, 0.5, 2500).astype(np.int64)
            hists = {LATENCY: from_values(values), SEND_LAG: from_values(values)}
            found = window(worker, second, second, {Key("f", ONE, 0): Series(hists=hists)})
            timeline.add(decode(encode(found)))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert (sizes[47] - sizes[15]) / 32 < 60_000


def test_a_window_that_comes_again_changes_nothing() -> None:
    timeline = Timeline()
    timeline.add(window(0, 0, 0, some(0)))
    assert timeline.add(window(0, 0, 0, some(0))) == []
    assert timeline.known(0, 0)
    assert not timeline.known(0, 1)
    assert timeline.close(STEP, 0).whole.ok == 10


def test_flush_emits_what_waits() -> None:
    timeline = Timeline()
    timeline.expect([0, 1])
    timeline.add(window(0, 0, 0))
    timeline.add(window(0, 1, 1))
    assert places(timeline.flush()) == [(0, 0, 0), (0, 1, 0)]
    assert timeline.flush() == []


def test_seconds_are_forgotten_after_a_while_and_still_count(monkeypatch) -> None:
    monkeypatch.setattr(timeline_module, "HISTORY_S", 5)
    timeline = Timeline()
    for i in range(20):
        timeline.add(window(0, i, i, some(0, 1)))
    assert len(timeline._seconds) <= 5
    assert timeline.add(window(1, 0, 3, some(0, 1))) == []
    assert timeline.close(STEP, 0).whole.ok == 21


def test_missing_windows_are_known_by_worker_and_by_step() -> None:
    timeline = Timeline()
    timeline.add(window(0, 0, 0))
    timeline.add(window(0, 2, 2))
    timeline.last(1, 1)
    assert timeline.missing() == {0: [1], 1: [0, 1]}
    result = timeline.close(STEP, 0, hosts={0: "a"})
    assert [(g.worker, g.host, g.windows, g.windows_missing) for g in result.generators] == [
        (0, "a", 2, 1),
        (1, None, 0, 2),
    ]
    timeline.add(window(0, 4, 9, step=1))
    [generator] = timeline.close(replace(STEP, index=1), 0).generators
    assert (generator.worker, generator.windows_missing) == (0, 1)


def test_a_worker_that_took_part_and_sent_no_window_is_there() -> None:
    timeline = Timeline()
    timeline.add(window(0, 0, 0))
    result = timeline.close(STEP, 0, hosts={0: "a", 1: "b"})
    assert [(g.worker, g.host, g.windows, g.sent) for g in result.generators] == [
        (0, "a", 1, 0),
        (1, "b", 0, 0),
    ]


def test_the_result_adds_up_the_measured_trials() -> None:
    timeline = Timeline()
    timeline.add(window(0, 0, 0, some(-1, 100)))
    timeline.add(window(0, 1, 1, some(0)))
    timeline.add(window(1, 0, 1, {**some(0, 20, late=3), **some(1, 30, TWO)}))
    timeline.add(window(1, 1, 7, some(-2, 7)))
    lost = {Key("f", ONE, 2): Series(scheduled=4, lost=4)}
    result = timeline.close(STEP, 7, extra=lost)
    assert [(t.start_ns, t.end_ns) for t in result.trials] == [
        (7 + (1 + 2 * i) * NS_PER_S, 7 + (3 + 2 * i) * NS_PER_S) for i in range(3)
    ]
    assert result.measured_ns == 6 * NS_PER_S
    assert {owner: total.ok for owner, total in result.totals.items()} == {("f", ONE): 30, ("f", TWO): 30}
    assert (result.whole.ok, result.whole.scheduled, result.lost) == (60, 64, 4)
    assert result.unmeasured["f", ONE].ok == 107
    assert ledger(result.whole) == 0
    assert ledger(Series(scheduled=9, ok=1, failed={"INTERNAL": 2}, dropped=2, lost=3)) == 1
    assert result.messages == (("INTERNAL", "boom", 4),)
    first, second = result.generators
    assert (first.cpu_mean, first.cpu_max, first.late, first.sent) == (0.1, 0.1, 0, 10)
    assert (second.late, second.loop_stall_max_ns, second.gc_collections) == (3, 1000, 2)
    assert second.send_lag_p99_ns == 3000


Span = tuple[int, int]


@pytest.mark.parametrize(
    ("found", "common"),
    [
        ([(0, None), (0, (5, 9)), (0, (2, 8))], (2, 8)),
        ([(0, (5, 9)), (1, (2, 8)), (1, (3, 9))], (5, 8)),
        ([(0, (5, 9)), (1, None)], None),  # the other had answers all the time
        ([(0, (5, 9)), (1, (9, 20))], None),
        ([(0, None)], None),
        ([], None),
    ],
)
def test_a_server_stands_still_for_all_of_its_workers(
    found: list[tuple[int, Span | None]], common: Span | None
) -> None:
    """What the longest waits of each for any answer have in common."""
    timeline = Timeline()
    for seq, (worker, span) in enumerate(found):
        timeline.add(replace(window(worker, seq, 0, some(0)), unanswered_ns=span))
    timeline.add(replace(window(7, 0, 0, {}), unanswered_ns=None))  # had nothing to send
    assert timeline.close(STEP, 0).unanswered_ns == common


def test_a_step_of_which_nothing_came_has_an_empty_result() -> None:
    result = Timeline().close(STEP, 0)
    assert (len(result.trials), result.totals, result.whole.scheduled, result.generators) == (3, {}, 0, ())
    assert (result.achieved_request_rate, result.latency_p50_ns) == (0, None)


def test_rates_are_completions_over_the_measured_time() -> None:
    timeline = Timeline()
    timeline.add(window(0, 0, 1, some(0, 10)))
    result = timeline.close(STEP, 0, stop_ns=2 * NS_PER_S)
    assert result.measured_ns == NS_PER_S
    assert result.achieved_request_rate == 10
    assert result.latency_p50_ns == 5003  # the upper end of 5000's bucket
    assert timeline.close(replace(STEP, index=1), 0, stop_ns=1).achieved_request_rate == 0


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (None, [(1, 3, True), (3, 5, True), (5, 7, True)]),
        (9, [(1, 3, True), (3, 5, True), (5, 7, True)]),
        (4, [(1, 3, True), (3, 4, False)]),
        (3, [(1, 3, True)]),
        (0.5, []),
    ],
)
def test_a_stop_cuts_trials_short(stop, expected) -> None:
    found = trial_bounds(STEP, 0, None if stop is None else int(stop * NS_PER_S), 0)
    assert found == [(a * NS_PER_S, b * NS_PER_S, whole) for a, b, whole in expected]


def test_a_trial_with_arrivals_is_never_left_out() -> None:
    assert trial_bounds(STEP, 0, 3 * NS_PER_S, 2)[1] == (3 * NS_PER_S, 3 * NS_PER_S, False)


def test_a_step_without_an_interval_is_one_trial_until_its_stop() -> None:
    step = replace(STEP, interval_ns=None)
    assert trial_bounds(step, 0, 10 * NS_PER_S, 0) == [(NS_PER_S, 10 * NS_PER_S, True)]
    assert trial_bounds(step, 0, 10, 0) == []
    with pytest.raises(ValueError, match="stopped"):
        trial_bounds(step, 0, None, 0)


WINDOW = st.tuples(
    st.integers(0, 2), st.integers(0, 3), st.integers(-1, 2), st.integers(1, 9), st.sampled_from([ONE, TWO])
)


@settings(max_examples=50)
@given(
    found=st.lists(WINDOW, min_size=1, max_size=12).flatmap(
        lambda ws: st.tuples(st.just(ws), st.permutations(range(len(ws))))
    ),
    expected=st.sets(st.integers(0, 2)),
)
def test_the_merge_is_exact_and_independent_of_the_order(found, expected) -> None:
    drawn, order = found
    windows = [
        window(worker, seq, second, some(trial, count, cls))
        for seq, (worker, second, trial, count, cls) in enumerate(drawn)
    ]
    results, seconds = [], []
    for sequence in (windows, [windows[i] for i in order]):
        timeline = Timeline()
        timeline.expect(expected)
        lines = []
        for one in sequence:
            lines += timeline.add(one)
        lines += timeline.flush()
        last = {(line["step"], line["second"]): written({**line, "revision": 0}) for line in lines}
        seconds.append(last)
        results.append(timeline.close(STEP, 0))
        assert sum(one["ok"] for line in last.values() for one in line["series"]) == sum(w[3] for w in drawn)
    assert seconds[0] == seconds[1]
    a, b = results
    assert plain(a.totals) == plain(b.totals)
    assert plain(a.unmeasured) == plain(b.unmeasured)
    assert [plain(t.series) for t in a.trials] == [plain(t.series) for t in b.trials]
    assert a.generators == b.generators
    assert a.whole.ok + sum(s.ok for s in a.unmeasured.values()) == sum(w[3] for w in drawn)
