"""The feed's loop against a scripted database and a clock of our own: nothing lost, nothing unbounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.feed_example import RUN, append, results_folder
from tests.unit.test_report_example import ZERO_NS
from triton_users.sinks import feed_batches
from triton_users.sinks.feed import Feed
from triton_users.sinks.feed_backoff import FIRST_S, LONGEST_S, Backoff
from triton_users.sinks.feed_batches import Batches
from triton_users.sinks.feed_end import End
from triton_users.sinks.feed_rejected import Rejected
from triton_users.sinks.feed_status import FeedStatus
from triton_users.sinks.folder import ResultsFolder
from triton_users.sinks.influx_answer import Answer, Refused, Unavailable
from triton_users.sinks.points_line import Points
from triton_users.units import NS_PER_S

DRAIN_S = 30


class Database:
    """Takes what ``answer`` lets it take; keeps each point by series and time, like InfluxDB."""

    def __init__(self, answer: Callable[[Sequence[str]], Answer]) -> None:
        self.answer = answer
        self.points: dict[tuple[str, str], str] = {}
        self.requests: list[int] = []

    def write(self, lines: Sequence[str], timeout_s: float) -> Answer:
        assert 0 < timeout_s <= 10
        self.requests.append(len(lines))
        answer = self.answer(lines)
        if answer is None:
            for line in lines:
                series, _, rest = line.partition(" ")
                fields, _, at = rest.rpartition(" ")
                self.points[series, at] = fields
        return answer


class Scene:
    """A feed on a folder, with time that only sleeping moves; ``at_sleep`` is called before each sleep."""

    def __init__(
        self, folder: ResultsFolder, answer: Callable[[Sequence[str]], Answer], *, patient: bool = False
    ) -> None:
        self.now = 0
        self.slept: list[float] = []
        self.at_sleep: Callable[[], None] = lambda: None
        self.told: list[FeedStatus] = []
        self.database = Database(answer)
        self.end = End(DRAIN_S * NS_PER_S, self.sleep, lambda: self.now)
        self.rejected = folder.path / "rejected.jsonl"
        self.feed = Feed(
            Batches(folder.windows, Points(RUN, ZERO_NS, budget=True)),
            self.database,
            Rejected(self.rejected),
            self.end,
            self.told.append,
            patient=patient,
            clock=lambda: self.now,
        )

    def sleep(self, seconds: float) -> None:
        self.at_sleep()
        self.slept.append(seconds)
        self.now += int(seconds * NS_PER_S)

    def run(self, *, ended: bool = True) -> bool:
        if ended:
            self.end.ask()
        return self.feed.run()

    def kept(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.rejected.read_text().splitlines()]


def all_points(folder: ResultsFolder) -> dict[tuple[str, str], str]:
    scene = Scene(folder, lambda lines: None)
    assert scene.run()
    return scene.database.points


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return results_folder(tmp_path)


def test_a_finished_folder_is_written_whole(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: None)
    assert scene.run()
    lines = folder.windows.read_text().splitlines()
    assert scene.feed.status.lines == len(lines)
    assert scene.database.points
    assert not scene.slept and not scene.rejected.exists()


def test_a_growing_spool_is_followed_to_its_end(folder: ResultsFolder) -> None:
    rest = folder.windows.read_text().splitlines(keepends=True)
    expected = all_points(folder)
    folder.windows.write_text("")
    scene = Scene(folder, lambda lines: None)

    def grow() -> None:
        if rest:
            with folder.windows.open("a") as file:
                file.write(rest.pop(0))
        else:
            scene.end.ask()

    scene.at_sleep = grow
    assert scene.run(ended=False)
    assert scene.database.points == expected


def test_what_waits_is_in_the_spool_and_not_in_memory(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_batches, "MAX_POINTS", 10)
    expected = all_points(folder)
    outage = [Unavailable("no connection")] * 7
    scene = Scene(folder, lambda lines: outage.pop() if outage else None)
    assert scene.run()
    assert scene.database.points == expected
    assert len(set(scene.database.requests[:8])) == 1  # the same batch, again and again
    assert max(scene.database.requests) < 10 + 15  # a batch ends with a line of the spool
    assert scene.feed.status.failing_since_ns is None


def test_waits_grow_within_bounds_and_differ() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s() for _ in range(50)]
    assert all(0 < delay <= LONGEST_S for delay in delays) and delays[0] <= FIRST_S
    assert min(delays[10:]) >= LONGEST_S / 2 and len(set(delays)) == 50
    backoff.reset()
    assert backoff.delay_s() <= FIRST_S
    assert backoff.delay_s(after_s=40) == 40


def test_retry_after_is_obeyed(folder: ResultsFolder) -> None:
    answers: list[Answer] = [Unavailable("429", after_s=20.0)]
    scene = Scene(folder, lambda lines: answers.pop() if answers else None)
    assert scene.run()
    assert scene.slept == [20.0]


def test_at_the_end_time_is_short(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: Unavailable("no connection"))
    assert not scene.run()
    assert sum(scene.slept) == pytest.approx(DRAIN_S)
    assert scene.feed.status.lines == 0 and scene.feed.status.reason == "no connection"
    assert scene.told[-1].failing_since_ns == 0


@pytest.mark.parametrize("patient", [False, True])
def test_who_asks_again_waits_for_nothing(
    folder: ResultsFolder, monkeypatch: pytest.MonkeyPatch, *, patient: bool
) -> None:
    """The batch that is being written is the last, though the database takes it."""
    monkeypatch.setattr(feed_batches, "MAX_POINTS", 10)
    scene = Scene(folder, lambda lines: scene.end.ask(), patient=patient)
    assert not scene.run()
    assert len(scene.database.requests) == 1
    assert 0 < scene.feed.status.lines < len(folder.windows.read_text().splitlines())
    away = Scene(folder, lambda lines: Unavailable("no connection"), patient=patient)
    away.at_sleep = away.end.ask
    assert not away.run()
    assert len(away.database.requests) == 1 and away.now < NS_PER_S


def test_what_a_person_must_put_right_is_not_waited_for_at_the_end(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: Unavailable("401", settings=True))
    assert not scene.run()
    assert len(scene.database.requests) == 1 and not scene.slept


def test_but_it_is_while_the_run_goes_on(folder: ResultsFolder) -> None:
    answers: list[Answer] = [Unavailable("404", settings=True)] * 3
    scene = Scene(folder, lambda lines: answers.pop() if answers else None)
    scene.at_sleep = lambda: scene.end.ask() if not answers else None
    assert scene.run(ended=False)


def bad(line: str) -> bool:
    return line.startswith("load,")


@pytest.mark.parametrize("counted", [True, False])
def test_points_refused_for_good_are_found_kept_and_named(folder: ResultsFolder, counted: bool) -> None:
    """Whether the database says how many it dropped or not; the others are written."""

    def answer(lines: Sequence[str]) -> Answer:
        dropped = sum(map(bad, lines))
        return Refused(400, "field type conflict", dropped if counted else None) if dropped else None

    expected = {key: text for key, text in all_points(folder).items() if not bad(key[0])}
    scene = Scene(folder, answer)
    assert scene.run()
    assert scene.database.points == expected
    kept = scene.kept()
    assert len(kept) == scene.feed.status.rejected > 2
    assert all(bad(str(one["point"])) and one["status"] == 400 for one in kept)
    assert {one["reason"] for one in kept} == {"field type conflict"} == {scene.feed.status.rejected_reason}
    assert len(scene.database.requests) < 30 * len(kept)


def test_all_refused_at_once_take_one_request(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: Refused(400, "points beyond retention policy", len(lines)))
    assert scene.run()
    assert len(scene.database.requests) == 1
    assert len(scene.kept()) == scene.database.requests[0]


def test_too_large_a_request_is_halved(folder: ResultsFolder) -> None:
    expected = all_points(folder)

    def answer(lines: Sequence[str]) -> Answer:
        return Refused(413, "too large", too_large=True) if len(lines) > 3 else None

    scene = Scene(folder, answer)
    assert scene.run()
    assert scene.database.points == expected and not scene.rejected.exists()


def test_a_damaged_line_costs_itself_alone(folder: ResultsFolder) -> None:
    expected = all_points(folder)
    text = folder.windows.read_text()
    first, rest = text.split("\n", 1)
    folder.windows.write_text(f'{first}\n{{"torn\n{{"kind":"window"}}\n{rest}')
    scene = Scene(folder, lambda lines: None)
    assert scene.run()
    assert scene.database.points == expected
    assert scene.feed.status.unreadable == 2
    assert "line 2" in str(scene.kept()[0]["reason"])


def test_what_is_kept_nowhere_is_counted(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: Refused(400, "points beyond retention policy", len(lines)))
    scene.rejected.mkdir()  # nothing can be written there
    assert scene.run()
    assert scene.told[-1].unkept == scene.told[-1].rejected > 20


def test_again_changes_nothing(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: None)
    assert scene.run()
    once = dict(scene.database.points)
    for line in folder.windows.read_text().splitlines():
        append(folder, json.loads(line))  # the whole run again, into the same database
    again = Scene(folder, lambda lines: None)
    again.database.points = scene.database.points
    assert again.run()
    assert again.database.points == once


def test_a_replay_may_take_longer_than_its_patience(folder: ResultsFolder) -> None:
    scene = Scene(folder, lambda lines: None, patient=True)

    def slow(lines: Sequence[str]) -> Answer:
        scene.now += 25 * NS_PER_S
        if len(lines) > 20:
            return Refused(413, "too large", too_large=True)
        return Unavailable("busy") if len(scene.database.requests) % 3 == 0 else None

    scene.database.answer = slow
    assert scene.run()
    assert scene.now > 3 * DRAIN_S * NS_PER_S
