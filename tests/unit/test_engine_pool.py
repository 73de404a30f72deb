"""Users' own tasks in closed loop, and several requests of one user: every infer() comes to one end."""

from __future__ import annotations

from collections import Counter

import gevent
from gevent.event import Event

from tests.fakes.channel_log import until
from tests.fakes.crowd import Crowd, once, thrice
from tests.fakes.engine_load import LONG_S, answer_all
from tests.fakes.peer import Peer, echo, later, silent
from tests.fakes.task_user import TaskUser
from tests.ledger import failures
from tests.rig import Rig
from triton_users.stats.window import SEND_LAG
from triton_users.step import CLOSED, CONSTANT, POISSON
from triton_users.units import NS_PER_MS

# Closed loop


def test_closed_loop_every_user_has_one_in_flight(peer: Peer, rig: Rig) -> None:
    with Crowd(rig, once, 5) as crowd:
        _, totals = crowd.loop(lambda: min(user.turns for user in crowd.users) > 5)  # all have their turn
        assert totals["ok"] == totals["scheduled"] == len(peer.requests) > 25
        assert not [error for user in crowd.users for error in user.errors]


def test_closed_loop_latency_is_service_latency(rig: Rig) -> None:
    with Crowd(rig, once, 2) as crowd:
        windows, _ = crowd.loop(lambda: crowd.turns > 50)
        lags = [s.hists[SEND_LAG] for w in windows for s in w.series.values() if SEND_LAG in s.hists]
        assert lags and all(lag.max == 0 for lag in lags)


def test_between_steps_users_wait_and_go_on_in_the_next(peer: Peer, rig: Rig) -> None:
    with Crowd(rig, thrice, 3) as crowd:
        for index in range(3):
            goal = crowd.turns + 20
            _, totals = crowd.loop(lambda goal=goal: crowd.turns > goal, index)  # type: ignore[misc]
            assert totals["ok"] > 5
            count = len(peer.requests)
            gevent.sleep(0.05)
            assert len(peer.requests) == count


def test_closed_and_open_steps_in_turn(rig: Rig) -> None:
    with Crowd(rig, once, 4) as crowd:
        for index, (process, rate) in enumerate(
            [(CLOSED, 0.0), (POISSON, 200.0), (CLOSED, 0.0), (CONSTANT, 100.0), (CLOSED, 0.0)]
        ):
            if process == CLOSED:
                goal = crowd.turns + 30
                _, totals = crowd.loop(lambda goal=goal: crowd.turns > goal, index)  # type: ignore[misc]
                assert totals["ok"] > 20
            else:
                _, totals = crowd.run(process, rate, 0.25, index)
                assert totals["scheduled"] == crowd.planned(process, rate, 0.25, index)
                assert totals["failed"] == totals["lost"] == 0


def test_closed_loop_users_wait_for_the_server(peer: Peer, rig: Rig) -> None:
    with Crowd(rig, once, 4) as crowd:
        rig.begin(crowd.step(CLOSED, None, 2.0), 4)
        rig.lease(0, LONG_S)
        until(lambda: len(peer.requests) > 8)
        peer.refuse()
        peer.link.abort()
        gevent.sleep(0.3)
        count = len(peer.requests)
        peer.listen()
        until(lambda: len(peer.requests) > count + 20)
        windows, totals = rig.end()
        assert 0 < totals["failed"] <= 4
        assert set(failures(windows)) == {"UNAVAILABLE"}


def test_a_deadline_holds_its_users_slot(peer: Peer) -> None:
    """Whether the run's or the call's own: the server may still be at work on it."""
    peer.answer = silent

    def hurried(user: TaskUser) -> None:
        user.infer(timeout_ns=300 * NS_PER_MS)

    for task, timeout_ns in ((once, 300 * NS_PER_MS), (hurried, None)):
        peer.answer = silent
        peer.requests.clear()
        with Rig(peer.url, timeout_ns=timeout_ns) as rig, Crowd(rig, task, 3) as crowd:
            rig.begin(crowd.step(CLOSED, None, 1.0), 3)
            rig.lease(0, LONG_S)
            until(lambda: len(peer.requests) == 3 and not crowd.pool.calls)
            gevent.sleep(0.1)
            assert len(peer.requests) == 3, "a user whose stream is open sends no other request"
            peer.answer = echo
            answer_all(peer)
            until(lambda: len(peer.requests) > 12)
            windows, totals = rig.end()
            assert failures(windows)["DEADLINE_EXCEEDED"] >= 3
            assert totals["ok"] > 3
    assert peer.resets == 0


# Several requests of one user at once


def test_two_requests_of_one_user_at_once(peer: Peer, rig: Rig) -> None:
    answers: list[bytes] = []

    def both(user: TaskUser) -> None:
        one, two = user.infer_async(b"one"), user.infer_async(b"two")
        answers.append(user.infer(b"three"))
        answers.extend(made.get() for made in (one, two))

    with Crowd(rig, both, 20) as crowd:
        _, totals = crowd.run(CONSTANT, 100.0, 0.1)
        assert totals["ok"] == totals["scheduled"] == 30
        assert Counter(answers) == {b"one": 10, b"two": 10, b"three": 10}


def test_an_async_request_that_outlives_its_task_is_the_arrivals(rig: Rig) -> None:
    def fire_and_forget(user: TaskUser) -> None:
        user.infer_async()

    with Crowd(rig, fire_and_forget, 20) as crowd:
        windows, totals = crowd.run(CONSTANT, 100.0, 0.1)
        assert totals["ok"] == totals["scheduled"] == 10
        assert not failures(windows)


def test_requests_of_one_user_that_wait_for_the_next_step_all_go_on(peer: Peer, rig: Rig) -> None:
    """Several greenlets of one member at the gate: none is forgotten."""
    done: list[bytes] = []
    over = Event()

    def task(user: TaskUser) -> None:
        over.wait()
        made = [user.infer_async(b"%d" % i) for i in range(3)]
        done.extend(one.get() for one in made)

    with Crowd(rig, task, 1) as crowd:
        crowd.loop(lambda: crowd.turns == 1)
        over.set()
        gevent.sleep(0.1)
        assert not done
        crowd.loop(lambda: len(done) >= 3, 1)
        assert sorted(done[:3]) == [b"0", b"1", b"2"]


def test_control_calls_of_a_task_are_no_part_of_the_ledger(peer: Peer, rig: Rig) -> None:
    peer.answer = later(0.3)

    def asks(user: TaskUser) -> None:
        rig.channels["flow"].call("/inference.GRPCInferenceService/ServerLive", b"")

    with Crowd(rig, asks, 3) as crowd:
        windows, totals = crowd.run(CONSTANT, 20.0, 0.1, drain=0.05)
        assert failures(windows) == {"NO_REQUEST": 2}
        assert totals["scheduled"] == 2


def test_a_task_resumed_by_an_answer_sends_in_the_same_breath(peer: Peer, rig: Rig) -> None:
    """Its next request leaves with the acknowledgements of the batch, not a loop later."""
    peer.answer = echo
    with Crowd(rig, once, 8) as crowd:
        _, totals = crowd.loop(lambda: len(peer.requests) > 200)
        assert totals["ok"] > 200
