"""Windows between a worker and a master that lose them and their acknowledgements: all come to the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.fakes.channel_log import until
from triton_users.clock import now_ns
from triton_users.options import Settings
from triton_users.run import kept_windows
from triton_users.run import protocol as p
from triton_users.run.master import Run
from triton_users.run.record import Record
from triton_users.run.voice import Voice
from triton_users.run.worker import Worker
from triton_users.run.workers import Workers
from triton_users.stats.window import Generator, Window
from triton_users.step import Step
from triton_users.units import NS_PER_MS

NO_LOAD = Step(0, "s", (), 0, None, 1)
HELLO = p.Hello("1.0", "f", "d", "here", 1, "127.0.0.1")


def window(worker: int, seq: int, second: int) -> Window:
    return Window(worker, seq, second, 0, 0, 0, {}, 0, 0, 0, Generator(0, 0, 0, 0))


# A worker, under a master that hears when the test lets it


class Heard:
    """What a worker in a step without load has said. Its first window ends 0.3 s after the start."""

    def __init__(self, folder: Path) -> None:
        self.seqs: list[int] = []
        self.done: p.Done | None = None
        self.worker = Worker({}, self._hear, lambda reason, code: None)
        self.tell(p.RunStart("r", str(folder), 0, "", 0, Settings()))
        self.tell(p.StepPrepare(NO_LOAD))
        gevent.sleep(0.05)
        self.tell(p.StepBegin(0, 0, now_ns() - 700 * NS_PER_MS, 1))

    def _hear(self, packed: bytes) -> None:
        for message in p.decode(packed):
            if isinstance(message, p.WindowSent):
                self.seqs.append(message.seq)
            elif isinstance(message, p.Done):
                self.done = message

    def tell(self, message: Any) -> None:
        self.worker.receive(p.encode(message))

    def grant(self, *acks: int) -> list[int]:
        """A round of the master's; the windows that are sent again for it."""
        before = len(self.seqs)
        self.tell(p.Grant((), now_ns(), 0, acks))
        gevent.sleep(0.02)
        return self.seqs[before:]


@pytest.fixture
def heard(bounded: None, tmp_path: Path) -> Iterator[Heard]:
    made = Heard(tmp_path)
    until(lambda: made.seqs == [0])
    yield made
    made.tell(p.StepEnd(0, 0, 0))
    until(lambda: made.done is not None)
    made.tell(p.RunEnd("r"))
    gevent.sleep(0.02)


def test_a_window_is_sent_again_until_it_is_acknowledged(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heard.grant() == []  # it may well be under way
    monkeypatch.setattr(kept_windows, "REPEAT_NS", 100 * NS_PER_MS)
    gevent.sleep(0.12)
    assert heard.grant() == [0]
    assert heard.grant() == []  # not at once
    gevent.sleep(0.12)
    assert heard.grant() == [0]  # the acknowledgement was lost, or it is not on disk yet
    gevent.sleep(0.12)
    assert heard.grant(0) == []
    gevent.sleep(0.12)
    assert heard.grant() == []


def test_what_the_master_misses_at_the_end_is_sent_at_once(heard: Heard) -> None:
    until(lambda: len(heard.seqs) == 2)
    heard.grant(0)
    heard.tell(p.StepEnd(0, 0, 0, (0, 1, 7)))
    until(lambda: heard.done is not None)
    assert heard.seqs == [0, 1, 1, 2]  # 0 is on disk, 7 was never made, 2 is the step's last
    assert heard.done is not None
    assert heard.done.last_seq == 2


def test_a_master_that_writes_nothing_is_not_flooded(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    run: Any = heard.worker._run
    for seq in range(100, 129):
        run._windows.add(window(0, seq, seq))
    until(lambda: len(heard.seqs) == 30)
    monkeypatch.setattr(kept_windows, "REPEAT_NS", 0)
    rounds = [heard.grant() for _ in range(3)]
    assert [len(sent) for sent in rounds] == [10, 10, 10]
    assert sorted(seq for sent in rounds for seq in sent) == [0, *range(100, 129)]


# The master


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    settings = replace(Settings(), results=str(tmp_path))
    workers = Workers(lambda packed, node: None, lambda: ["a", "b"])
    for node in ("a", "b"):
        workers.hello(node, HELLO, 0, HELLO)
    record = Record(settings, "run", "r", 0, 0, Voice())
    record.expect([0, 1])
    target: Any = None
    asked = (lambda users: True, 2, now_ns(), 0, 1, lambda: 0, lambda step: None)
    yield Run("r", 0, settings, (), target, workers, record, *asked)
    record.discard("the test is over")


def test_a_window_is_acknowledged_when_it_is_on_disk(run: Run) -> None:
    a, b = run.workers.peers["a"], run.workers.peers["b"]
    run._window(window(0, 0, 5))
    run._window(window(0, 0, 5))  # again, while its second waits for the other worker
    assert a.acks == []
    run._window(window(1, 0, 5))
    assert (a.acks, b.acks) == ([0], [0])
    assert '"second":5' in run.record.folder.windows.read_text().replace(" ", "")
    a.acks.clear()
    run._window(window(0, 0, 5))  # the acknowledgement was lost
    assert a.acks == [0]


def test_a_window_too_late_for_a_line_is_not_asked_for_again(run: Run) -> None:
    run._window(window(0, 1, 100))
    run._window(window(1, 1, 100))
    run._window(window(0, 0, 3))
    assert run.workers.peers["a"].acks == [1, 0]
