"""Leases in made-up time: whoever falls silent, nothing is sent twice and all is counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.cluster_model import CLASS, History, Machine, random_history
from triton_users.run import lost
from triton_users.run.roster import AHEAD_NS, SILENT_NS, Roster, Span
from triton_users.stats.window import Key
from triton_users.step import POISSON, UNKNOWN_CLASS, Lease
from triton_users.units import NS_PER_S

BACK_NS = SILENT_NS + AHEAD_NS
"""Of 5 s that the issue allows: no lease of a worker that can still be believed alive reaches further."""
SHARE_NS = 3 * NS_PER_S


def s(seconds: float) -> int:
    return int(seconds * NS_PER_S)


def hold(history: History) -> lost.Account:
    """Play it; hold that nothing is sent twice, and that the ledger of each trial closes exactly."""
    account = history.run()
    assert len(set(history.sent)) == len(history.sent), "an arrival was sent twice"
    assert all(series.lost >= 0 for series in account.extra.values())
    said = history.reported.by.values()
    planned = total([history.planned(), *(one.unplanned for one in said)])
    scheduled = {key: series.scheduled for key, series in account.extra.items()}
    lost_ones = {key: series.lost for key, series in account.extra.items()}
    assert total([*(one.scheduled for one in said), scheduled]) == planned
    assert total([*(one.ended for one in said), lost_ones]) == planned
    hold_gaps(history, account)
    return account


def hold_gaps(history: History, account: lost.Account) -> None:
    """All that is lost is somebody's, and was due when the result says; but the dead cannot tell of leases
    that never came, nor of what they had slept through."""
    told = sum(series.lost for key, series in account.extra.items() if key.trial >= 0)
    told += sum(said.overdue for said in history.reported.by.values())
    assert sum(absent.arrivals for absent in account.absent) == told
    mute = [machine for number, machine in enumerate(history.workers) if not history.whole(number)]
    if any(machine.losses or machine.cuts or machine.pauses for machine in mute):
        return
    sent = set(history.sent)
    for flow, index, offset in history.measured():
        if (flow, index) not in sent:
            assert any(absent.from_ns <= offset < absent.until_ns for absent in account.absent)


def total(counts: list[Mapping[Key, int]]) -> dict[Key, int]:
    """The sum; a task's requests are of one class, as far as the schedule knows."""
    found = Counter[Key]()
    for one in counts:
        for key, count in one.items():
            found[replace(key, cls=UNKNOWN_CLASS) if key.flow == "g" else key] += count
    return +found


def hold_promises(history: History) -> None:
    """The rate is back in time after a loss, later only by what the master itself has paused; while that
    runs, a joiner has a share within 3 s."""
    spans = history.roster.spans
    assert spans[0].from_ns == 0
    for before, after in itertools.pairwise(spans):
        assert before.until_ns == after.from_ns
    assert spans[-1].until_ns == history.length
    back_ns = BACK_NS + sum(end - start for start, end in history.master.pauses)
    for number, machine in enumerate(history.workers):
        for span in spans:
            if number in span.workers:
                assert span.until_ns <= max(machine.dies, 0) + back_ns
                for start, end in machine.pauses + machine.cuts + machine.losses:
                    assert span.until_ns <= start + back_ns or span.until_ns > end
            if history.master.pauses:
                continue
            if machine.calm and span.until_ns > machine.joins + SHARE_NS:
                assert number in span.workers
            if machine.calm and machine.joins < 0:
                assert span.workers


@pytest.mark.parametrize("thousand", range(10))
def test_random_histories(thousand: int) -> None:
    for number in range(thousand * 1000, thousand * 1000 + 1000):
        history = random_history(number)
        try:
            hold(history)
            hold_promises(history)
        except AssertionError as error:
            raise AssertionError(f"history {number}: {error}") from error


@pytest.mark.slow
@pytest.mark.parametrize("thousand", range(10, 110))
def test_many_more_random_histories(thousand: int) -> None:
    test_random_histories(thousand)


def test_undisturbed_workers_send_the_whole_schedule() -> None:
    history = History([Machine(), Machine(), Machine()], rate=200, process=POISSON)
    assert hold(history) == lost.Account()
    assert sorted(history.sent) == [("f", index) for index in range(history.planned().total())]


def test_a_killed_worker_owes_what_it_was_given_and_no_more() -> None:
    history = History([Machine(), Machine(dies=s(5.3))], rate=200)
    account = hold(history)
    [absent] = account.absent
    assert absent.worker == 1
    # Its half of 200/s: from its last window (5.0 s) until the last lease ended, at most 4 s later.
    assert 0 < absent.never_sent + absent.unrecorded <= 100 * (0.3 + 4)
    assert s(5) == absent.from_ns < absent.until_ns <= s(5.3 + 3.5)
    assert account.extra[Key("f", CLASS, 0)].lost == (absent.never_sent + absent.unrecorded)


def test_the_second_requests_of_tasks_hide_no_loss() -> None:
    """Some 130 second requests were said before the death; some 75 arrivals a second are lost after it."""
    history = History([Machine(dies=s(5.3))], rate=1, task_rate=75)
    account = hold(history)
    assert account.extra[Key("g", UNKNOWN_CLASS, 0)].lost >= 75 * (12 - 5.3)


def test_a_lease_that_never_came_is_lost() -> None:
    """Its worker has answered for everything: what is missing is not its doing, and no fault of ours."""
    history = History([Machine(), Machine(losses=[(s(5.9), s(6.1))])], rate=200)
    account = hold(history)
    [absent] = account.absent
    assert absent == lost.Absent(1, 100, 0, 0, s(7.1), s(8.1))
    assert account.extra[Key("f", CLASS, 0)].lost == 100


def test_a_frozen_worker_sends_nothing_overdue_when_it_wakes() -> None:
    history = History([Machine(), Machine(pauses=[(s(2), s(9))])], rate=200)
    account = hold(history)
    [absent] = account.absent  # it has answered for all, lost ones included
    assert (absent.worker, absent.never_sent, absent.unrecorded) == (1, 0, 0)
    assert absent.overdue >= 100
    assert s(2) <= absent.from_ns < s(2.02)
    assert s(3.8) < absent.until_ns <= s(5.5)
    assert history.sent_late <= 2
    assert any(1 not in span.workers for span in history.roster.spans)
    assert history.roster.spans[-1].workers == (0, 1)


def test_a_paused_master_loses_what_it_granted_to_nobody() -> None:
    history = History([Machine(), Machine()], Machine(pauses=[(s(3.2), s(8.2))]), rate=200)
    account = hold(history)
    [absent] = account.absent
    assert absent.worker is None
    assert absent.never_sent == pytest.approx(200 * (8.2 - 2.9 - 2.2), abs=2)
    assert (absent.from_ns, absent.until_ns) == (s(5.1), s(8.2))
    assert history.roster.spans[-1].workers == (0, 1)


def test_the_last_worker_leaves_the_rest_to_nobody() -> None:
    history = History([Machine(dies=s(4))], rate=200)
    account = hold(history)
    assert [absent.worker for absent in account.absent] == [None, 0]
    assert account.absent[0].never_sent >= 200 * (12 - 4 - 4)


def test_second_and_third_joiner_get_shares() -> None:
    history = History([Machine(), *(Machine(joins=s(at)) for at in (2, 3, 3.1))], rate=200)
    assert hold(history) == lost.Account()
    hold_promises(history)
    assert history.roster.spans[-1].workers == (0, 1, 2, 3)


# The roster alone


def test_grants_reach_ahead_and_are_given_once() -> None:
    roster = Roster(3, s(10))
    for worker in (4, 9):
        roster.heard(worker, 0)
    assert roster.grant(-s(0.4)) == [(4, Lease(3, 0, AHEAD_NS, 0, 2)), (9, Lease(3, 0, AHEAD_NS, 1, 2))]
    assert roster.grant(0) == []
    assert [lease for _, lease in roster.grant(s(0.5))] == [
        Lease(3, AHEAD_NS, AHEAD_NS + s(0.5), k, 2) for k in (0, 1)
    ]
    assert roster.spans == [Span(0, AHEAD_NS + s(0.5), (4, 9))]


def test_silence_and_leaving() -> None:
    roster = Roster(0, None)
    roster.heard(0, 0)
    roster.heard(1, 0)
    roster.gone(1)
    roster.gone(1)
    assert roster.alive(SILENT_NS - 1) == (0,)
    assert roster.alive(SILENT_NS) == ()
    assert roster.grant(s(7)) == []
    roster.close(s(8))
    assert roster.spans == [Span(0, s(8), ())]
    assert roster.granted_workers() == set()


def test_a_lease_ends_with_the_step() -> None:
    roster = Roster(0, s(1))
    roster.heard(0, 0)
    assert roster.grant(0) == [(0, Lease(0, 0, s(1), 0, 1))]
    assert roster.grant(s(0.5)) == []
    roster.close(s(1))
    assert roster.spans == [Span(0, s(1), (0,))]
