"""Users' own tasks under a rate: every arrival comes to one end."""

from __future__ import annotations

from collections import Counter

import gevent
import pytest

from tests.fakes.channel_log import until
from tests.fakes.crowd import Crowd, once, tasks, thrice
from tests.fakes.engine_load import answer_all
from tests.fakes.peer import Peer, later, silent
from tests.fakes.task_user import TaskUser
from tests.ledger import failures, per_trial
from tests.rig import Rig, flow, step
from triton_users.stats.window import LATENCY, SEND_LAG
from triton_users.step import CLOSED, CONSTANT
from triton_users.units import NS_PER_MS, NS_PER_S


def test_an_arrival_starts_one_task_and_its_first_request_takes_its_time(peer: Peer, rig: Rig) -> None:
    def slow_start(user: TaskUser) -> None:
        gevent.sleep(0.02)
        user.infer()

    with Crowd(rig, slow_start, 40) as crowd:
        windows, totals = crowd.run(CONSTANT, 100.0, 0.3)
        assert totals["scheduled"] == totals["ok"] == crowd.planned(CONSTANT, 100.0, 0.3) == 30
        [series] = [s for w in windows for s in w.series.values() if s.ok][:1]
        assert series.hists[SEND_LAG].min >= 19 * NS_PER_MS
        assert series.hists[LATENCY].min >= series.hists[SEND_LAG].min


def test_later_requests_of_a_task_are_scheduled_when_sent(rig: Rig) -> None:
    with Crowd(rig, thrice, 20) as crowd:
        windows, totals = crowd.run(CONSTANT, 50.0, 0.3)
        assert totals["scheduled"] == totals["ok"] == 3 * 15
        assert sum(count for w in windows for _, _, count in w.unplanned) == 2 * 15


def test_a_task_without_a_request_has_failed(rig: Rig) -> None:
    with Crowd(rig, lambda user: None, 20) as crowd:
        windows, totals = crowd.run(CONSTANT, 100.0, 0.2)
        assert failures(windows) == {"NO_REQUEST": 20}
        assert (totals["scheduled"], totals["sent"]) == (20, 0)


def test_a_task_that_raises_before_its_request(rig: Rig) -> None:
    def broken(user: TaskUser) -> None:
        raise ValueError("of the task")

    with Crowd(rig, broken, 20) as crowd:
        windows, _ = crowd.run(CONSTANT, 100.0, 0.2)
        assert failures(windows) == {"NO_REQUEST": 20}


def test_a_task_that_raises_after_its_request(rig: Rig) -> None:
    def broken(user: TaskUser) -> None:
        user.infer()
        raise ValueError("of the task")

    with Crowd(rig, broken, 20) as crowd:
        _, totals = crowd.run(CONSTANT, 100.0, 0.2)
        assert totals["ok"] == totals["scheduled"] == 20


def unanswered(peer: Peer, crowd: Crowd) -> Counter[str]:
    """The totals of 20 arrivals, none of which is answered before the last has come."""
    peer.answer = silent
    crowd.rig.begin(crowd.step(CONSTANT, 100.0, 0.2), len(crowd.users))
    crowd.rig.lease(0, 0.2)
    crowd.rig.at(0.2)
    crowd.rig.engine.stop()
    until(lambda: len(peer.requests) == crowd.pool.unfinished > 0)
    answer_all(peer)
    return crowd.rig.end()[1]


def test_no_idle_user_drops_the_arrival(peer: Peer, rig: Rig) -> None:
    with Crowd(rig, once, 2) as crowd:
        totals = unanswered(peer, crowd)
        assert (totals["scheduled"], totals["ok"], totals["dropped"]) == (20, 2, 18)


def test_the_cap_drops_too(peer: Peer) -> None:
    with Rig(peer.url, cap=3) as rig, Crowd(rig, once, 10) as crowd:
        totals = unanswered(peer, crowd)
        assert (totals["ok"], totals["dropped"]) == (3, 17)


@pytest.mark.parametrize("process", [CLOSED, CONSTANT])
def test_the_request_of_a_user_that_is_killed_is_answered_all_the_same(
    process: str, peer: Peer, rig: Rig
) -> None:
    """Locust kills users wherever they are, when it shares them out anew."""
    peer.answer = silent
    with Crowd(rig, once, 3) as crowd:
        rig.begin(crowd.step(process, None if process == CLOSED else 100.0, 1.0), 3)
        rig.lease(0, 0.03)
        until(lambda: len(peer.requests) == 3)
        crowd.users[0].kill()
        rig.engine.stop()
        assert crowd.pool.unfinished == 3
        answer_all(peer)
        _, totals = rig.end()
        assert (totals["scheduled"], totals["ok"]) == (3, 3)
        assert peer.resets == 0


def test_a_task_that_stops_waiting_by_itself_has_cancelled(peer: Peer, rig: Rig) -> None:
    def impatient(user: TaskUser) -> None:
        with gevent.Timeout(0.02, False):
            user.infer()

    peer.answer = silent
    with Crowd(rig, impatient, 1) as crowd:
        rig.begin(crowd.step(CONSTANT, 100.0, 1.0), 1)
        rig.lease(0, 0.01)
        until(lambda: len(peer.requests) == 1)
        gevent.sleep(0.05)
        windows, totals = rig.end(drain=0.05)
        assert failures(windows) == {"CANCELLED": 1}
        assert totals["scheduled"] == 1
        assert peer.resets == 0


def test_a_user_killed_before_its_request_leaves_no_hole(rig: Rig) -> None:
    def dawdle(user: TaskUser) -> None:
        gevent.sleep(5)

    with Crowd(rig, dawdle, 3) as crowd:
        rig.begin(crowd.step(CONSTANT, 100.0, 1.0), 3)
        rig.lease(0, 0.03)
        until(lambda: crowd.turns == 3)
        crowd.users[0].kill()
        windows, totals = rig.end(drain=0.05)
        assert failures(windows) == {"NO_REQUEST": 3}
        assert totals["scheduled"] == 3


def test_the_drain_waits_for_a_request_that_is_still_being_made(rig: Rig) -> None:
    def slow_start(user: TaskUser) -> None:
        gevent.sleep(0.1)
        user.infer()

    with Crowd(rig, slow_start, 20) as crowd:
        windows, totals = crowd.run(CONSTANT, 100.0, 0.1)
        assert totals["ok"] == 10
        assert not failures(windows)


def test_what_a_task_sends_after_the_end_counts_to_no_trial(peer: Peer, rig: Rig) -> None:
    def long_task(user: TaskUser) -> None:
        user.infer()
        gevent.sleep(0.15)
        user.infer()

    with Crowd(rig, long_task, 20) as crowd:
        rig.begin(crowd.step(CONSTANT, 100.0, 0.1), 20)
        rig.lease(0, 0.1)
        rig.at(0.1)
        rig.engine.stop()
        until(lambda: len(peer.requests) == 20)  # the second ones come in the drain
        windows, totals = rig.end()
        assert totals["ok"] == 20
        trials = per_trial(windows)
        assert trials[0]["scheduled"] == trials[0]["ok"] == 10
        assert trials[-2]["scheduled"] == trials[-2]["ok"] == 10


def test_without_a_connection_tasks_fail_at_once(peer: Peer, rig: Rig) -> None:
    with Crowd(rig, once, 40) as crowd:
        rig.begin(crowd.step(CONSTANT, 100.0, 1.0), 40)
        rig.lease(0, 0.1)
        until(lambda: len(peer.requests) == 10 and not crowd.pool.calls)
        peer.refuse()
        peer.link.close()
        until(lambda: not rig.channels["flow"].ready)
        rig.lease(0.1, 0.3)
        rig.at(0.3)
        windows, totals = rig.end()
        assert failures(windows) == {"UNAVAILABLE": 20}
        assert (totals["scheduled"], totals["ok"]) == (30, 10)


def test_deadlines_of_the_run_and_of_a_call(peer: Peer) -> None:
    peer.answer = later(0.1)

    def hurried(user: TaskUser) -> None:
        user.infer(timeout_ns=20 * NS_PER_MS)

    def patient(user: TaskUser) -> None:
        user.infer(timeout_ns=5 * NS_PER_S)

    for task, timeout_ns, wanted in (
        (hurried, None, "DEADLINE_EXCEEDED"),
        (once, 20 * NS_PER_MS, "DEADLINE_EXCEEDED"),
        (patient, 20 * NS_PER_MS, None),
    ):
        with Rig(peer.url, timeout_ns=timeout_ns) as rig, Crowd(rig, task, 20) as crowd:
            windows, totals = crowd.run(CONSTANT, 100.0, 0.05)
            assert totals["scheduled"] == 5
            assert failures(windows) == ({wanted: 5} if wanted else {})
    assert peer.resets == 0


def test_the_cap_counts_streams_of_requests_given_up(peer: Peer) -> None:
    peer.answer = silent
    for load in (flow(CONSTANT, rate=200.0), tasks()):
        peer.requests.clear()
        with Rig(peer.url, timeout_ns=50 * NS_PER_MS, cap=10) as rig, Crowd(rig, once, 30) as crowd:
            asked = crowd.step(CONSTANT, 200.0, 0.5) if load == tasks() else step(load, interval=0.5)
            rig.begin(asked, 30)
            rig.lease(0, 0.5)
            rig.at(0.5)
            assert len(peer.requests) == 10
            windows, totals = rig.end(drain=0.2)
            assert (totals["dropped"], failures(windows)) == (90, {"DEADLINE_EXCEEDED": 10})
