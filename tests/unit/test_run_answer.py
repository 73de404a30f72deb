"""When the answer to a grant leaves, in made-up time; and with a worker's window, for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.fakes.channel_log import until
from triton_users.clock import now_ns
from triton_users.options import Settings
from triton_users.run import answer as answer_module
from triton_users.run import protocol as p
from triton_users.run import worker as worker_module
from triton_users.run.answer import HOLD_NS, Answer, Owed
from triton_users.run.worker import Worker
from triton_users.step import Step
from triton_users.units import NS_PER_MS, NS_PER_S

FIRST, SECOND = Owed(5, 1000), Owed(7, 2000)


@pytest.mark.parametrize(
    ("cut_ns", "waits"),
    [(None, False), (1001 + HOLD_NS, False), (1000 + HOLD_NS, True), (900, True)],
    ids=["no load", "a window later", "a window soon", "a window that is late"],
)
def test_an_answer_waits_for_a_window_that_comes_soon(cut_ns: int | None, waits: bool) -> None:
    answer = Answer()
    assert answer.granted(FIRST, cut_ns) == (() if waits else (FIRST,))
    assert answer.take() == ((FIRST,) if waits else ())
    assert answer.take() == ()


def test_the_next_grant_sends_what_waits() -> None:
    answer = Answer()
    assert answer.granted(FIRST, 1000) == ()
    assert answer.granted(SECOND, 2000) == (FIRST,)
    assert answer.granted(FIRST, None) == (SECOND, FIRST)
    assert answer.take() == ()


def test_what_nothing_has_taken_goes_alone_in_the_end() -> None:
    answer = Answer()
    answer.granted(FIRST, 1000)
    assert answer.late(FIRST) == (FIRST,)
    answer.granted(FIRST, 1000)
    answer.take()
    answer.granted(SECOND, 1000)
    assert answer.late(FIRST) == ()  # it is gone; the one that waits has time
    assert answer.take() == (SECOND,)


def test_an_answer_says_how_long_it_was_held() -> None:
    assert FIRST.beat(1300, "r", 2, 1) == p.Beat(5, 1300, "r", 2, 1, held_ns=300)


# A worker


class Place:
    """A worker in a step without load, and what it has said, by message of Locust's. Its first window ends at
    ``cut``. ``told``: the master knows that the step has begun."""

    def __init__(self, folder: Path, *, told: bool = True) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.worker = Worker({}, lambda packed: self.said.append(p.decode(packed)), lambda reason, code: None)
        self.tell(p.RunStart("r", str(folder), 0, "", 0, Settings()))
        self.tell(p.StepPrepare(Step(0, "s", (), 0, None, 1)))
        gevent.sleep(0.05)
        self.cut = now_ns() + 400 * NS_PER_MS
        self.tell(p.StepBegin(0, 0, self.cut - NS_PER_S, 1))
        if told:
            self.tell(p.Grant((), now_ns()))
        gevent.sleep(0.01)
        self.said.clear()

    def tell(self, message: Any) -> None:
        self.worker.receive(p.encode(message))

    def grant(self, before_s: float) -> int:
        """A grant so long before the cut; when it was sent."""
        gevent.sleep((self.cut - now_ns()) / NS_PER_S - before_s)
        sent = now_ns()
        self.tell(p.Grant((), sent))
        gevent.sleep(0.02)
        return sent

    def heard(self) -> list[list[str]]:
        """The kinds of what it has said since it was asked last."""
        said, self.said = self.said, []
        return [[type(message).__name__ for message in messages] for messages in said]

    def leave(self) -> None:
        self.tell(p.StepEnd(0, 0, 0))
        until(lambda: any(isinstance(messages[-1], p.Done) for messages in self.said))
        self.tell(p.RunEnd("r"))
        gevent.sleep(0.02)


@pytest.fixture
def place(bounded: None, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.leave()


def test_that_the_step_has_begun_is_said_at_once(bounded: None, tmp_path: Path) -> None:
    """The master grants nothing before it knows."""
    place = Place(tmp_path, told=False)
    place.grant(0.15)
    assert place.heard() == [["Beat"]]
    place.leave()


def test_an_answer_rides_with_the_window_that_is_about_to_be_cut(place: Place) -> None:
    place.grant(0.35)
    assert place.heard() == [["Beat"]]
    sent = place.grant(0.1)
    assert place.heard() == []
    until(lambda: bool(place.said))
    [[beat, window]] = place.said
    assert isinstance(window, p.WindowSent)
    assert (beat.sent_ns, beat.run, beat.prepared, beat.begun) == (sent, "r", 0, 0)
    assert beat.at_ns >= place.cut
    assert 100 * NS_PER_MS <= beat.held_ns <= beat.at_ns - sent
    gevent.sleep(answer_module.LONGEST_NS / NS_PER_S)
    assert place.heard() == [["Beat", "WindowSent"]]  # answered once


def test_an_answer_goes_alone_where_the_window_does_not_come(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "LONGEST_NS", 80 * NS_PER_MS)
    place.grant(0.15)
    assert place.heard() == []
    gevent.sleep(0.08)
    assert place.heard() == [["Beat"]]
    until(lambda: bool(place.said))
    assert place.heard() == [["WindowSent"]]


def test_a_step_that_ends_takes_the_answer_with_it_and_answers_at_once_then(place: Place) -> None:
    place.grant(0.15)
    place.tell(p.StepEnd(0, 0, 0))
    until(lambda: len(place.said) == 2)
    place.tell(p.Grant((), now_ns()))
    gevent.sleep(0.02)
    assert place.heard() == [["Beat", "WindowSent"], ["Done"], ["Beat"]]
    place.tell(p.StepEnd(0, 0, 0))


def test_a_step_that_drains_answers_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = place.worker._run
    drained, finish = Event(), run._engine.finish

    def slow(drain_ns: int) -> None:
        drained.wait()
        finish(drain_ns)

    monkeypatch.setattr(run._engine, "finish", slow)
    place.tell(p.StepEnd(0, 0, 0))
    place.grant(0.15)
    assert place.heard() == [["Beat"]]
    drained.set()
