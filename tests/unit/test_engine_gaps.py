"""What can wait is done where no arrival is near, and not later than its patience."""

from __future__ import annotations

from triton_users.engine.gaps import FAR, GAP_NS, PATIENCE_NS, Spare


def test_without_senders_it_is_done_at_once() -> None:
    done: list[int] = []
    Spare().ask(lambda: done.append(1), 0)
    assert done == [1]


def test_it_waits_for_a_gap_in_all_schedules_one_piece_each() -> None:
    spare, done = Spare(), list[str]()
    spare.next("a", GAP_NS - 1, 0)
    spare.next("b", FAR, 0)
    spare.ask(lambda: done.append("first"), 0)
    spare.ask(lambda: done.append("second"), 0)
    assert not done
    spare.next("a", 100 + GAP_NS, 100)
    assert done == ["first"]
    spare.next("b", 200 + GAP_NS - 1, 200)
    spare.next("a", 300 + GAP_NS, 300)
    assert done == ["first"]
    spare.next("b", FAR, 300)
    assert done == ["first", "second"]


def test_its_turn_comes_also_where_there_is_no_gap() -> None:
    spare, done = Spare(), list[int]()
    spare.next("a", 10, 0)
    spare.ask(lambda: done.append(1), 0)
    for now in range(0, PATIENCE_NS, PATIENCE_NS // 8):
        spare.next("a", now + 10, now)
    assert not done
    spare.next("a", PATIENCE_NS + 10, PATIENCE_NS)
    assert done == [1]


def test_who_comes_later_does_not_overtake() -> None:
    spare, done = Spare(), list[str]()
    spare.next("a", 10, 0)
    spare.ask(lambda: done.append("first"), 0)
    spare._next["a"] = FAR
    spare.ask(lambda: done.append("second"), 20)
    assert not done
    spare.next("a", FAR, 30)
    assert done == ["first", "second"]


def test_all_is_done_when_the_last_sender_has_left() -> None:
    spare, done = Spare(), list[int]()
    spare.next("a", 10, 0)
    spare.next("b", 10, 0)
    for i in range(3):
        spare.ask(lambda i=i: done.append(i), 0)  # type: ignore[misc]
    spare.leave("a", 0)
    assert not done
    spare.leave("b", 0)
    spare.leave("b", 0)
    assert done == [0, 1, 2]


def test_a_long_gap_has_room_for_all() -> None:
    """No sender may speak again for long."""
    spare, done = Spare(), list[int]()
    spare.next("a", 10, 0)
    for i in range(3):
        spare.ask(lambda i=i: done.append(i), 0)  # type: ignore[misc]
    spare.next("a", 10 + 3 * GAP_NS, 10)
    assert done == [0, 1, 2]


def test_a_sender_that_has_gone_without_a_word_holds_nothing_up() -> None:
    spare, done = Spare(), list[int]()
    spare.next("a", 10, 0)
    spare.ask(lambda: done.append(1), 10 + PATIENCE_NS)
    assert done == [1]
