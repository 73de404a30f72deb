"""Before a run's load: workers that never introduce themselves, or do not stay; how long a request takes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from tests.fakes.channel_log import until
from triton_users.clock import now_ns
from triton_users.options import Settings
from triton_users.run import master, muster
from triton_users.run import protocol as p
from triton_users.run.master import Run
from triton_users.run.record import Record
from triton_users.run.voice import Voice
from triton_users.run.workers import Workers
from triton_users.step import Step
from triton_users.units import NS_PER_MS

HELLO = p.Hello("1.0", "f", "d", "here", 1, "127.0.0.1")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Locust has three workers; two have said hello."""
    monkeypatch.setattr(master, "GATHER_NS", 50 * NS_PER_MS)
    workers = Workers(lambda packed, node: None, lambda: ["a", "b", "host_7f3e"])
    for node in ("a", "b"):
        workers.hello(node, HELLO, 0, HELLO)
    record = Record(replace(Settings(), results=str(tmp_path)), "run", "r", 0, 0, Voice())
    target: Any = SimpleNamespace(url="", embedded=True, unreachable_from=lambda host: None)
    placed, probe = (lambda users: True), (lambda step: None)
    yield Run("r", 0, Settings(), (), target, workers, record, placed, 2, now_ns(), 0, 1, lambda: 0, probe)
    record.discard("the test is over")


def test_others_are_enough(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run._gathered()
    assert "goes on without host_7f3e: it has not introduced itself" in capsys.readouterr().out


def test_others_are_too_few(run: Run) -> None:
    run.needed = 3
    assert not run._gathered()
    assert run.refusal == "2 of 3 workers are ready (not host_7f3e): see the workers' logs"


@pytest.mark.parametrize("way", ["embedded", "drained", "hurried"])
def test_a_stop_ends_the_question_how_long_a_request_takes(run: Run, way: str) -> None:
    """While the server does not answer: at once one of our own, else after a drain or at a second stop."""
    run.probe = lambda step: gevent.sleep(60)
    run.target.embedded = way == "embedded"
    run.settings = replace(run.settings, drain_ns=(300 if way == "drained" else 60_000) * NS_PER_MS)
    step: Any = None
    gevent.spawn_later(0.1, run.stop, "the user")
    if way == "hurried":
        gevent.spawn_later(0.3, run.hurry)
    begun = now_ns()
    with gevent.Timeout(5):
        assert run._probed(step) is None
    if way != "embedded":
        assert now_ns() - begun > 290 * NS_PER_MS


def test_a_long_question_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(master, "TELL_NS", 50 * NS_PER_MS)

    def probe(step: Step) -> int:
        gevent.sleep(0.3)
        return 300 * NS_PER_MS

    run.probe = probe
    step: Any = None
    assert run._probed(step) == 300 * NS_PER_MS
    assert capsys.readouterr().out.count("one request alone comes first") == 1


def test_workers_that_do_not_stay_are_missed() -> None:
    """Locust looks once a second whether there are enough, and no longer gives up by itself."""
    runner, waiting, given_up = Namespace(worker_count=2), [True], []
    options = Namespace(expect_workers=2, expect_workers_max_wait=0.2)
    muster.muster(runner, options, lambda: bool(waiting), given_up.append)
    assert options.expect_workers_max_wait == 0
    gevent.sleep(0.02)
    runner.worker_count = 1
    until(lambda: bool(given_up))
    assert given_up[0].startswith("1 of 2 workers have come within 0.2 s")


def test_a_run_that_has_begun_is_not_given_up() -> None:
    runner, given_up = Namespace(worker_count=1), list[str]()
    options = Namespace(expect_workers=2, expect_workers_max_wait=0.05)
    muster.muster(runner, options, lambda: False, given_up.append)
    gevent.sleep(0.3)
    assert not given_up
