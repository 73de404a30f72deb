"""The recorder: what a plain loop over requests would count, in vectors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.stats.histogram import from_values, percentile
from triton_users.stats.messages import MAX_LENGTH, OTHERS, PER_STATUS
from triton_users.stats.recorder import Recorder
from triton_users.stats.request_log import RequestLog, status_code
from triton_users.stats.window import FAILED_LATENCY, LATENCY, SEND_LAG, SERVICE_LATENCY, Hist, Key
from triton_users.step import RequestClass, Step
from triton_users.units import NS_PER_MS

T0 = 5_000 * NS_PER_MS
ONE = RequestClass("m", 1)
FOUR = RequestClass("m", 4)
STEP = Step(0, "s", (), warm_up_ns=100 * NS_PER_MS, interval_ns=100 * NS_PER_MS, max_trials=3)
MS = NS_PER_MS


def ms(value: float) -> int:
    return T0 + int(value * NS_PER_MS)


def begun(step: Step = STEP, threshold_ns: int | None = None) -> tuple[Recorder, int, int]:
    recorder = Recorder(threshold_ns)
    one, four = recorder.tag("f", ONE), recorder.tag("f", FOUR)
    recorder.begin(step, T0)
    return recorder, one, four


def test_tags_are_stable_small_integers() -> None:
    recorder = Recorder()
    assert [recorder.tag("f", ONE), recorder.tag("g", ONE), recorder.tag("f", FOUR)] == [0, 1, 2]
    assert recorder.tag("g", RequestClass("m", 1)) == 1


def test_a_request_belongs_to_the_trial_of_its_arrival_and_its_completion_to_its_own() -> None:
    recorder, one, _ = begun(threshold_ns=50 * MS)
    recorder.done([(ms(150), ms(152), one), (ms(199), ms(199), one)], ms(210))
    series, _ = recorder.cut()
    arrived, completed = series[Key("f", ONE, 0)], series[Key("f", ONE, 1)]
    assert (arrived.ok, arrived.completed, arrived.sent, arrived.late) == (2, 0, 2, 1)
    assert (completed.ok, completed.completed, completed.good) == (0, 2, 1)
    assert arrived.hists[LATENCY].sum == (60 + 11) * MS
    assert arrived.hists[SERVICE_LATENCY].sum == (58 + 11) * MS
    assert arrived.hists[SEND_LAG].sum == 2 * MS
    assert not completed.hists


def test_what_the_schedule_does_not_hold_and_when_the_lost_were_due() -> None:
    recorder, one, _ = begun()
    assert (recorder.cut_unplanned(), recorder.cut_lost_between()) == ((), None)
    recorder.unplanned("f", np.array([ms(150), ms(160), ms(250)]))
    recorder.lost(np.array([ms(120), ms(110)]), [one, one])
    recorder.fold()
    recorder.lost(np.array([ms(130)]), [one])
    recorder.fold()
    recorder.dropped(np.array([ms(140)]), [one])
    series, _ = recorder.cut()
    assert series[Key("f", ONE, 0)].lost == 3
    assert recorder.cut_unplanned() == (("f", 0, 2), ("f", 1, 1))
    assert recorder.cut_lost_between() == (ms(110), ms(130))
    assert (recorder.cut_unplanned(), recorder.cut_lost_between()) == ((), None)


@pytest.mark.parametrize(
    ("arrival", "trial"),
    [(0, -1), (99.999999, -1), (100, 0), (199.9, 0), (200, 1), (399, 2), (400, -2), (950, -2)],
)
def test_trials_are_half_open_and_what_comes_after_the_last_is_in_none(arrival: float, trial: int) -> None:
    recorder, one, _ = begun()
    recorder.scheduled(ms(arrival), [one])
    recorder.scheduled(np.array([ms(arrival)]), np.array([one]))
    recorder.lost(np.array([ms(arrival), T0]), np.array([one, one]))
    series, _ = recorder.cut()
    assert {key.trial: s.scheduled for key, s in series.items() if s.scheduled} == {trial: 2}
    assert {key.trial for key, s in series.items() if s.lost} == {-1, trial}


@pytest.mark.parametrize(("now", "trial"), [(99, -1), (100, 0), (399, 2), (400, None), (1000, None)])
def test_a_completion_after_the_last_trial_counts_to_none(now: float, trial: int | None) -> None:
    recorder, one, _ = begun()
    recorder.done([(ms(50), ms(50), one)], ms(now))
    series, _ = recorder.cut()
    assert {k.trial for k, s in series.items() if s.completed} == (set() if trial is None else {trial})
    assert series[Key("f", ONE, -1)].ok == 1


def test_without_an_interval_all_after_the_warm_up_is_one_trial_until_the_stop() -> None:
    recorder, one, _ = begun(Step(0, "s", (), 100 * MS, None))
    recorder.done([(ms(50), ms(50), one)], ms(60))
    recorder.done([(ms(9000), ms(9000), one)], ms(9010))
    recorder.stop(ms(9015))
    recorder.done([(ms(9000), ms(9000), one)], ms(9020))
    recorder.done([(ms(9016), ms(9016), one)], ms(9030))
    series, _ = recorder.cut()
    assert {k.trial: (s.ok, s.completed) for k, s in series.items()} == {-1: (1, 1), 0: (2, 1), -2: (1, 0)}


def test_before_the_first_step_all_is_warm_up() -> None:
    recorder = Recorder()
    recorder.done([(5, 6, recorder.tag("f", ONE))], 7)
    assert list(recorder.cut()[0]) == [Key("f", ONE, -1)]


def test_a_step_may_not_begin_over_numbers_of_the_last() -> None:
    recorder, one, _ = begun()
    recorder.done([(ms(150), ms(150), one)], ms(160))
    recorder.fold()
    with pytest.raises(RuntimeError, match="cut"):
        recorder.begin(STEP, T0 + 1)
    recorder.cut()
    recorder.begin(STEP, T0 + 1)


def test_failures_have_their_own_histogram_and_the_unsent_are_not_sent() -> None:
    recorder, one, _ = begun()
    recorder.failed((ms(150), ms(153), one), "INTERNAL", "boom", ms(160))
    recorder.failed((ms(150), 0, one), "UNAVAILABLE", "no connection", ms(151), sent=False)
    series, messages = recorder.cut()
    found = series[Key("f", ONE, 0)]
    assert found.failed == {"INTERNAL": 1, "UNAVAILABLE": 1}
    assert (found.ok, found.sent, found.late, found.completed) == (0, 1, 1, 0)
    assert found.hists[FAILED_LATENCY].sum == 11 * MS
    assert found.hists[SEND_LAG].sum == 3 * MS
    assert set(found.hists) == {FAILED_LATENCY, SEND_LAG}
    assert messages == (("INTERNAL", "boom", 1), ("UNAVAILABLE", "no connection", 1))


def test_messages_are_bounded_and_their_counts_add_up() -> None:
    recorder, one, _ = begun()
    for i in range(20):
        recorder.failed((ms(150), ms(150), one), "INTERNAL", f"request {i} " + "x" * 500, ms(160))
    _, messages = recorder.cut()
    assert len(messages) == PER_STATUS + 1
    assert messages[-1] == ("INTERNAL", OTHERS, 15)
    assert sum(count for _, _, count in messages) == 20
    assert all(len(text) <= MAX_LENGTH for _, text, _ in messages)
    assert recorder.cut() == ({}, ())


def test_empty_batches_are_nothing() -> None:
    recorder, _, _ = begun()
    recorder.done([], ms(150))
    recorder.scheduled(np.empty(0, np.int64), np.empty(0, np.int64))
    recorder.dropped(ms(150), [])
    assert recorder.cut() == ({}, ())


def test_the_saver_gets_every_request_also_those_never_sent() -> None:
    log = RequestLog()
    recorder = Recorder(saver=log)
    tag = recorder.tag("f", ONE)
    recorder.begin(STEP, T0)
    recorder.scheduled(np.array([1, 2, 3, 4, 5]), np.full(5, tag))
    recorder.done([(2, 3, tag)], 9)
    recorder.failed((1, 4, tag), "INTERNAL", "", 8)
    recorder.failed((5, 0, tag), "UNAVAILABLE", "", 6, sent=False)
    recorder.dropped(np.array([3]), np.array([tag]))
    recorder.lost(4, [tag])
    recorder.cut()
    rows = log.cut()
    assert rows.arrival_ns.tolist() == [1, 2, 3, 4, 5]
    assert rows.sent_ns.tolist() == [4, 3, 0, 0, 0]
    assert rows.done_ns.tolist() == [8, 9, 0, 0, 6]
    names = ["INTERNAL", "OK", "DROPPED", "LOST", "UNAVAILABLE"]
    assert rows.status.tolist() == [status_code(name) for name in names]


@dataclass
class Plain:
    """The same numbers, counted one by one."""

    threshold_ns: int
    counts: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    values: dict[tuple[int, int, str], list[int]] = field(default_factory=dict)

    def trial(self, at: int) -> int:
        past = at - T0 - STEP.warm_up_ns
        trial = past // STEP.interval_ns
        return -1 if past < 0 else trial if trial < STEP.max_trials else -2

    def end(self, request: tuple[int, int, int, int, str]) -> None:
        arrival, lag, took, tag, status = request
        sent = status != "UNAVAILABLE"
        trial, done = self.trial(arrival), arrival + lag + took
        if sent:
            self.counts[tag, trial, "sent"] += 1
            self.counts[tag, trial, "late"] += lag > NS_PER_MS
            self.values.setdefault((tag, trial, SEND_LAG), []).append(lag)
        if status == "OK":
            self.counts[tag, trial, "ok"] += 1
            self.values.setdefault((tag, trial, LATENCY), []).append(lag + took)
            self.values.setdefault((tag, trial, SERVICE_LATENCY), []).append(took)
            if done < T0 + 400 * MS:
                self.counts[tag, self.trial(done), "completed"] += 1
                self.counts[tag, self.trial(done), "good"] += lag + took <= self.threshold_ns
        else:
            self.counts[tag, trial, status] += 1
            self.values.setdefault((tag, trial, FAILED_LATENCY), []).append(lag + took)


def equal(a: Hist, b: Hist) -> bool:
    return (
        np.array_equal(a.index, b.index)
        and np.array_equal(a.count, b.count)
        and ((a.sum, a.sum_squares, a.min, a.max) == (b.sum, b.sum_squares, b.min, b.max))
    )


REQUEST = st.tuples(
    st.integers(0, 450 * MS),  # arrival
    st.integers(0, 3 * MS),  # lag
    st.integers(0, 120 * MS),  # service
    st.integers(0, 2),  # tag
    st.sampled_from(["OK", "OK", "OK", "INTERNAL", "UNAVAILABLE", "dropped", "lost"]),
)


@settings(max_examples=60)
@given(requests=st.lists(REQUEST, min_size=1, max_size=40), folds=st.sets(st.integers(0, 40)))
def test_it_counts_what_a_plain_loop_counts(requests, folds) -> None:
    classes = [ONE, FOUR, RequestClass("n", 2)]
    recorder, plain = Recorder(threshold_ns=60 * MS), Plain(60 * MS)
    tags = [recorder.tag("f", cls) for cls in classes]
    recorder.begin(STEP, T0)
    for i, (offset, lag, took, tag, status) in enumerate(requests):
        arrival = T0 + offset
        recorder.scheduled(
            arrival if i % 2 else np.array([arrival]), [tags[tag]] if i % 3 else np.array([tags[tag]])
        )
        plain.counts[tag, plain.trial(arrival), "scheduled"] += 1
        if status in ("dropped", "lost"):
            getattr(recorder, status)(np.array([arrival]), np.array([tags[tag]]))
            plain.counts[tag, plain.trial(arrival), status] += 1
        else:
            sent = status != "UNAVAILABLE"
            ticket = (arrival, arrival + lag if sent else 0, tags[tag])
            if status == "OK":
                recorder.done([ticket], arrival + lag + took)
            else:
                recorder.failed(ticket, status, "why", arrival + lag + took, sent)
            plain.end((arrival, lag, took, tag, status))
        if i in folds:
            recorder.fold()
    series, _ = recorder.cut()
    found: Counter[tuple[int, int, str]] = Counter()
    for key, s in series.items():
        tag = classes.index(key.cls)
        for name in ("scheduled", "sent", "ok", "dropped", "lost", "late", "completed", "good"):
            found[tag, key.trial, name] += getattr(s, name)
        for name, count in s.failed.items():
            found[tag, key.trial, name] += count
        assert s.scheduled == s.ok + sum(s.failed.values()) + s.dropped + s.lost
        assert s.inferences == s.ok * key.cls.batch_size
        assert s.completed_inferences == s.completed * key.cls.batch_size
        for name, hist in s.hists.items():
            assert equal(hist, from_values(np.array(plain.values.pop((tag, key.trial, name)))))
    assert +found == +plain.counts
    assert not plain.values


def test_windows_add_up_and_share_nothing() -> None:
    recorder, one, _ = begun()
    recorder.done([(ms(150), ms(150), one)], ms(151))
    first = recorder.cut()[0][Key("f", ONE, 0)]
    recorder.done([(ms(150), ms(150), one)] * 3, ms(160))
    second = recorder.cut()[0][Key("f", ONE, 0)]
    assert (first.ok, second.ok) == (1, 3)
    assert percentile(first.hists[LATENCY], 50) == MS
    assert percentile(second.hists[LATENCY], 50) == 10 * MS
