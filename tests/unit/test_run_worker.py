"""A worker process without a master: a full way out, a silent master, a refusal, options misplaced."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import gevent
import pytest
from locust.exception import RPCSendError

from triton_users.options import Settings
from triton_users.run import enlist, worker
from triton_users.run import protocol as p
from triton_users.run.worker import Worker


@pytest.fixture(autouse=True)
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(worker, "LOOK_S", 0.01)
    yield


def test_nothing_is_lost_while_the_way_to_the_master_is_full() -> None:
    """Locust gives up on a socket at its high-water mark after nine seconds, and raises."""
    sent: list[object] = []
    full = [True, True, False, True, False]

    def send(packed: bytes) -> None:
        if full and full.pop(0):
            raise RPCSendError("ZMQ sent failure")
        sent.extend(p.decode(packed))

    one = Worker({}, send, lambda reason, code: None)
    one.greet(p.Hello("1"))
    one.receive(p.encode(p.Grant((), 5)))
    one.leave()
    assert [type(message) for message in sent] == [p.Hello, p.Beat]


def test_a_silent_master_ends_the_worker_a_living_one_does_not() -> None:
    ended: list[tuple[str, int]] = []
    one = Worker({}, lambda packed: None, lambda reason, code: ended.append((reason, code)))
    watching = gevent.spawn(one.watch)
    for _ in range(3):
        gevent.sleep(0.1)  # half of what a silent master is given
        one.heard()
    assert not ended
    watching.join(5)
    assert ended == [("the master is gone: this worker ends", 4)]


def test_a_refused_worker_says_why_and_ends() -> None:
    ended: list[tuple[str, int]] = []
    one = Worker({}, lambda packed: None, lambda reason, code: ended.append((reason, code)))
    one.receive(p.encode(p.Refused("another locustfile")))
    gevent.sleep(0.01)
    assert ended == [("the master refuses this worker: another locustfile", 2)]


def test_a_broken_worker_says_so_and_ends() -> None:
    ended: list[tuple[str, int]] = []
    one = Worker({}, lambda packed: None, lambda reason, code: ended.append((reason, code)))
    one.receive(b"\xc1")
    gevent.sleep(0.01)
    [(reason, code)] = ended
    assert reason.startswith("this worker broke: ValueError('not a message of ours")
    assert code == 4


@pytest.mark.parametrize(
    ("of_master", "leaves"),
    [(False, [True, True, True]), (True, [True, False, True])],
    ids=["by hand", "forked"],
)
def test_ctrl_c_before_in_and_after_a_run(
    of_master: bool, leaves: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forked one's master has it too, and closes the run."""
    raised: list[BaseException] = []
    monkeypatch.setattr(worker, "raise_in_main", raised.append)
    one = Worker({}, lambda packed: None, lambda reason, code: None, of_master=of_master)
    found = []
    for message in (None, p.RunStart("r", "", 0, "", 0, Settings()), p.RunEnd("r")):
        if message is not None:
            one.receive(p.encode(message))
            gevent.sleep(0.01)
        one.interrupt("Ctrl-C")
        one.interrupt("SIGTERM")  # Locust's own
        found.append(bool(raised))
        raised.clear()
    assert found == leaves
    one.leave()
    one.interrupt("Ctrl-C")
    assert not raised  # it is about to


def test_options_of_the_master_given_to_a_worker() -> None:
    given = Namespace(model="m", request_rate_range="50", save_requests=False, seed=None)
    assert enlist.misplaced(given, {}) == ["--model", "--request-rate-range"]


def test_the_environment_of_an_image_is_not_misplaced() -> None:
    given = Namespace(results="/results", host="triton:8001", num_users=3, spawn_rate=None)
    assert enlist.misplaced(given, {"LOCUST_RESULTS": "/results"}) == ["-H", "-u"]
    assert enlist.misplaced(given, {"LOCUST_HOST": "", "LOCUST_USERS": ""}) == ["--results"]
