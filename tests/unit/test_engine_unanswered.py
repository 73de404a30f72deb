"""How long nothing ended: exact to an interval, never longer than it was."""

from __future__ import annotations

import pytest

from triton_users.engine.unanswered import Unanswered

INTERVAL = 100


@pytest.fixture
def unanswered() -> Unanswered:
    found = Unanswered(INTERVAL)
    found.start(0, 0)
    return found


def looks(unanswered: Unanswered, *seen: tuple[int, int, bool]) -> tuple[int, int] | None:
    """(now, in flight, whether any ended) of each look."""
    for now, in_flight, ended in seen:
        unanswered.look(now, in_flight, ended)
    return unanswered.cut()


def test_from_the_look_that_last_saw_an_end(unanswered: Unanswered) -> None:
    assert looks(unanswered, (100, 8, True), (200, 8, False), (300, 8, False), (400, 8, True)) == (100, 300)


def test_it_goes_on_over_a_cut(unanswered: Unanswered) -> None:
    assert looks(unanswered, (100, 8, True), (200, 8, False)) == (100, 200)
    assert looks(unanswered, (300, 8, False)) == (100, 300)
    assert looks(unanswered, (400, 8, True), (500, 8, True)) is None


@pytest.mark.parametrize("few", [0, 1])
def test_it_takes_several_in_flight(unanswered: Unanswered, few: int) -> None:
    """A single one may be slow by itself."""
    seen = [(100, few, True), (200, few, False), (300, 2, False), (400, 2, False)]
    assert looks(unanswered, *seen) == (300, 400)


def test_the_last_answers_do_not_count(unanswered: Unanswered) -> None:
    assert looks(unanswered, (100, 8, True), (200, 8, False)) == (100, 200)
    unanswered.stop()
    assert looks(unanswered, (300, 8, False), (400, 8, False)) is None


def test_what_a_frozen_generator_missed_does_not_count(unanswered: Unanswered) -> None:
    assert looks(unanswered, (100, 8, True), (1_300, 8, False), (1_400, 8, True)) is None


def test_the_longest_of_several(unanswered: Unanswered) -> None:
    seen = [(100, 8, True), *((now, 8, False) for now in (200, 300, 400)), (500, 8, True), (600, 8, False)]
    assert looks(unanswered, *seen) == (100, 400)


def test_the_warm_up_does_not_count() -> None:
    unanswered = Unanswered(INTERVAL)
    unanswered.start(0, 350)
    assert looks(unanswered, *((now, 8, False) for now in range(100, 700, 100))) == (350, 600)
