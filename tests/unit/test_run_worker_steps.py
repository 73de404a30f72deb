"""A worker in its steps: one has drained before the next is ready, what got lost is said again, and a full
way to the master holds nothing up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.fakes.channel_log import until
from tests.fakes.engine_load import answer_all
from tests.fakes.peer import Peer, echo, silent
from tests.fakes.task_user import TaskUser, users
from tests.rig import flow, step
from triton_users.clock import now_ns
from triton_users.engine import census, pool_of
from triton_users.options import Settings
from triton_users.run import protocol as p
from triton_users.run import worker as worker_module
from triton_users.run.worker import Worker
from triton_users.stats.codec import decode
from triton_users.stats.histogram import percentile
from triton_users.stats.merge import merge_series
from triton_users.stats.window import SEND_LAG
from triton_users.step import CONSTANT, Lease
from triton_users.units import NS_PER_S

FLOW = flow(classes=())
STEPS = [step(FLOW, index=index, interval=None) for index in range(2)]
WITH_TASKS: Any = SimpleNamespace(has_tasks=lambda: True)


def once(user: TaskUser) -> None:
    user.infer()


class Place:
    """A worker with one user, and what it has said. ``loses`` says which messages never arrive; none
    leaves before ``full_until_ns``."""

    def __init__(self, url: str, folder: Path) -> None:
        self.said: list[Any] = []
        self.ended: list[str] = []
        self.loses = lambda message: False
        self.full_until_ns = 0
        self.zero = now_ns()
        self.worker = Worker(
            {FLOW.user_class: WITH_TASKS}, self._hear, lambda reason, code: self.ended.append(reason)
        )
        self.tell(p.RunStart("r", str(folder), 0, url, 0, Settings()))
        census.counts = {FLOW.user_class: 1}
        self.user = TaskUser(pool_of(FLOW.user_class), once)

    def _hear(self, packed: bytes) -> None:
        while now_ns() < self.full_until_ns:
            gevent.sleep(0.05)
        self.said += [message for message in p.decode(packed) if not self.loses(message)]

    def tell(self, message: Any) -> None:
        self.worker.receive(p.encode(message))

    def of(self, kind: type, index: int) -> list[Any]:
        return [one for one in self.said if isinstance(one, kind) and one.step == index]

    def prepare(self, index: int) -> None:
        self.tell(p.StepPrepare(STEPS[index]))

    def begin(self, index: int) -> None:
        self.tell(p.StepBegin(index, now_ns() - self.zero, self.zero, 8))
        self.tell(p.Grant((Lease(index, 0, 60 * NS_PER_S, 0, 1),), now_ns()))

    def end(self, index: int) -> None:
        self.tell(p.StepEnd(index, 30 * NS_PER_S, 0))


@pytest.fixture
def place(peer: Peer, tmp_path: Path) -> Iterator[Place]:
    made = Place(peer.url, tmp_path)
    yield made
    made.user.kill()
    made.worker.leave()
    census.counts = {}


@pytest.mark.parametrize("told_of_the_end", [True, False])
def test_a_step_is_ready_when_the_last_has_drained(told_of_the_end: bool, place: Place, peer: Peer) -> None:
    """The master goes on without a worker that was silent; when that wakes, answers are still to come."""
    peer.answer = silent
    place.prepare(0)
    until(lambda: bool(place.of(p.Ready, 0)))
    place.begin(0)
    until(lambda: len(peer.requests) == 1)
    if told_of_the_end:
        place.end(0)
    place.prepare(1)
    gevent.sleep(0.1)
    assert not place.of(p.Ready, 1)
    peer.answer = echo
    answer_all(peer)
    until(lambda: bool(place.of(p.Ready, 1)))
    place.begin(1)
    until(lambda: len(peer.requests) > 3)
    place.end(1)
    until(lambda: bool(place.of(p.Done, 1)))
    [first], [second] = place.of(p.Done, 0), place.of(p.Done, 1)
    windows = [decode(one.packed) for one in place.said if isinstance(one, p.WindowSent)]
    by_step = [[one.seq for one in windows if one.step == index] for index in range(2)]
    assert by_step == [
        list(range(first.last_seq + 1)),
        list(range(first.last_seq + 1, second.last_seq + 1)),
    ]
    assert [lease.step for lease in second.leases] == [1]
    assert not place.ended


def test_a_ready_that_got_lost_is_said_again(place: Place) -> None:
    lost: list[p.Ready] = []

    def loses(message: Any) -> bool:
        if isinstance(message, p.Ready) and not lost:
            lost.append(message)
            return True
        return False

    place.loses = loses
    place.prepare(0)
    until(lambda: bool(lost))
    place.prepare(0)
    until(lambda: place.of(p.Ready, 0) == lost)


def test_hello_is_said_until_the_master_speaks(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    monkeypatch.setattr(worker_module, "GREET_S", 0.01)
    heard: list[Any] = []
    one = Worker({}, lambda packed: heard.extend(p.decode(packed)), lambda reason, code: None)
    one.greet(p.Hello("1"))
    until(lambda: len(heard) > 2)
    one.receive(p.encode(p.Grant((), 5)))
    gevent.sleep(0.05)
    assert isinstance(heard[-1], p.Beat)
    assert {type(message) for message in heard[:-1]} == {p.Hello}


def test_a_step_that_breaks_ends_the_worker(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.prepare(0)
    until(lambda: bool(place.of(p.Ready, 0)))
    place.begin(0)
    run: Any = place.worker._run
    until(lambda: run._begun == 0)
    monkeypatch.setattr(run._engine, "finish", None)
    place.end(0)
    until(lambda: bool(place.ended))
    assert place.ended[0].startswith("this worker broke: TypeError")
    monkeypatch.undo()
    run._engine.finish(0)


def test_a_full_way_to_the_master_holds_up_no_load(place: Place) -> None:
    """Locust sleeps before it sends again, seconds long; leases that come meanwhile are served."""
    crowd = users(pool_of(FLOW.user_class), once, 40)
    place.tell(p.StepPrepare(step(flow(CONSTANT, rate=100.0, classes=()), interval=None)))
    until(lambda: bool(place.of(p.Ready, 0)))
    said = len(place.said)
    place.full_until_ns = now_ns() + 3 * NS_PER_S
    place.tell(p.StepBegin(0, now_ns() - place.zero, place.zero, 100))
    for tenth in range(1, 16):
        lease = Lease(0, tenth * NS_PER_S // 10, (tenth + 1) * NS_PER_S // 10, 0, 1)
        place.tell(p.Grant((lease,), now_ns()))
        gevent.sleep(0.1)
    gevent.sleep(0.2)
    place.end(0)
    assert len(place.said) == said
    until(lambda: bool(place.of(p.Done, 0)))
    for user in crowd:
        user.kill()
    windows = [decode(one.packed) for one in place.said if isinstance(one, p.WindowSent)]
    whole = merge_series(series for window in windows for series in window.series.values())
    assert (whole.scheduled, whole.ok, whole.lost) == (150, 150, 0)
    assert percentile(whole.hists[SEND_LAG], 99) < NS_PER_S / 4  # a busy machine has some of its own
