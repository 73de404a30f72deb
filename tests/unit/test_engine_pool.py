"""Users' own tasks, in closed loop and under a rate: every arrival and every infer() comes to one end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from tests.fakes.channel_log import until
from tests.fakes.engine_load import LONG_S, answer_all, run_until
from tests.fakes.peer import Peer, echo, later, silent
from tests.fakes.task_user import Task, TaskUser, users
from tests.ledger import failures, per_trial
from tests.rig import Rig, flow, step
from triton_users.stats.window import LATENCY, SEND_LAG, Window
from triton_users.step import CLOSED, CONSTANT, POISSON, Flow, Step
from triton_users.units import NS_PER_MS, NS_PER_S


def tasks(process: str = CLOSED, rate: float | None = None) -> Flow:
    return flow(process, rate=rate, classes=())


class Crowd:
    """Users of one flow, there before the first step begins, as Locust places them."""

    def __init__(self, rig: Rig, task: Task, count: int) -> None:
        self.rig = rig
        self.pool = rig.pool(tasks())
        self.users = users(self.pool, task, count)

    def run(
        self, process: str, rate: float | None, seconds: float, index: int = 0, drain: float = 5.0
    ) -> tuple[list[Window], Counter[str]]:
        return self.rig.run(self.step(process, rate, seconds, index), len(self.users), drain)

    def loop(self, true: Callable[[], bool], index: int = 0) -> tuple[list[Window], Counter[str]]:
        """In closed loop until something holds."""
        return run_until(self.rig, self.step(CLOSED, None, 1.0, index), len(self.users), true)

    def step(self, process: str, rate: float | None, seconds: float, index: int = 0) -> Step:
        return step(tasks(process, rate), index=index, interval=seconds)

    def planned(self, process: str, rate: float, seconds: float, index: int = 0) -> int:
        return self.rig.planned(step(flow(process, rate=rate), index=index, interval=seconds), 0, seconds)[
            "flow"
        ]

    @property
    def turns(self) -> int:
        return sum(user.turns for user in self.users)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for user in self.users:
            user.kill()


def once(user: TaskUser) -> None:
    assert user.infer() == b"message"


def thrice(user: TaskUser) -> None:
    for _ in range(3):
        user.infer()


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


# Under a rate


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
