"""A step on the master: who is waited for at its start and at its end, for how long, and who is left out."""

from __future__ import annotations

import itertools
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triton_users.clock import now_ns
from triton_users.options import Settings
from triton_users.run import protocol as p
from triton_users.run import step_run
from triton_users.run.conversation import Conversation, Leading
from triton_users.run.step_run import RefusedError, StepRun
from triton_users.run.target import Target
from triton_users.run.workers import Peer, Workers
from triton_users.stats.timeline import Timeline
from triton_users.step import POISSON, Flow, Lease, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

STEP = Step(0, "s", (Flow("f", "U", "m", POISSON, 10.0, None, ((RequestClass("m", 1), 1.0),)),), 0, 1000, 1)
HELLO = p.Hello("1.0", "f", "d", "here", 1, "127.0.0.1")
READY, SILENT = p.Ready("r", 0), None


class Workplace:
    """A conversation with workers that answer the preparation as ``answers`` say, and all grants at once."""

    def __init__(self, *answers: p.Ready | None) -> None:
        self.answers = {f"w{number}": answer for number, answer in enumerate(answers)}
        self.sent: list[tuple[Any, str | None]] = []
        self.notes: list[str] = []
        self.expected: list[list[int]] = []
        self.workers = Workers(self.hear, lambda: list(self.answers))
        self.talk = Conversation("r", 0, self.workers, self.start, lambda window: None, lambda peer: None)
        for number, node in enumerate(self.answers):
            hello = replace(HELLO, host=f"host{number}", pid=number)
            assert self.workers.hello(node, hello, now_ns(), hello) is not None

    def start(self, peer: Peer) -> p.RunStart:
        return p.RunStart("r", "", 0, "", peer.number, Settings())

    def hear(self, packed: bytes, node: str | None) -> None:
        [message] = p.decode(packed)
        self.sent.append((message, node))
        assert node is not None
        if isinstance(message, p.Grant):
            self.says(node, p.Beat(message.sent_ns, now_ns(), "r", -1, -1))
        elif isinstance(message, p.StepPrepare) and (answer := self.answers[node]) is not None:
            self.says(node, answer)

    def says(self, node: str, message: Any) -> None:
        self.talk.inbox.put((node, p.encode(message), now_ns()))

    def prepare(self, needed: int, unreachable_from: str = "") -> None:
        self.talk.leading = Leading(STEP)
        self.step_run(needed, unreachable_from)._prepared()

    def step_run(self, needed: int = 1, unreachable_from: str = "", step: Step = STEP) -> StepRun:
        settings = replace(Settings(), wait_ready_ns=200 * NS_PER_MS)
        diary = SimpleNamespace(workers=lambda peers, now: None, look=lambda: None)
        record: Any = SimpleNamespace(
            note=self.notes.append,
            timeline=Timeline(),
            diary=diary,
            progress=lambda at_ns: None,
            voice=SimpleNamespace(say=self.notes.append),
            expect=self.expected.append,
        )
        target: Any = SimpleNamespace(
            unreachable_from=lambda host: "is elsewhere" if host == unreachable_from else None,
            watch=lambda: None,
        )
        return StepRun(step, self.talk, record, target, settings, 0, needed, lambda: True, lambda: False)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_run, "PREPARE_NS", 100 * NS_PER_MS)


def test_all_are_ready_at_once() -> None:
    place = Workplace(READY, p.Ready("r", 0, None, ("short of files",)))
    place.prepare(2)
    assert place.notes == ["short of files"]
    assert len(place.workers.peers) == 2


def test_goes_on_without_those_that_fail_or_do_not_get_ready_where_others_are_enough() -> None:
    place = Workplace(READY, p.Ready("r", 0, "no way to Triton"), SILENT, READY)
    place.prepare(2)
    assert place.notes == [
        "goes on without worker 1 (host1, pid 1): no way to Triton",
        "goes on without worker 2 (host2, pid 2): did not get ready within 0.3 s, see its log",
    ]
    assert list(place.workers.peers) == ["w0", "w3"]
    place.workers.turn_away()
    assert {node for message, node in place.sent if isinstance(message, p.Refused)} == {"w1", "w2"}


def test_refuses_by_name_where_the_others_are_too_few() -> None:
    started = now_ns()
    with pytest.raises(RefusedError) as caught:
        Workplace(READY, SILENT).prepare(2)
    assert caught.value.message == (
        "1 of 2 workers are ready; worker 1 (host1, pid 1): did not get ready within 0.3 s, see its log"
    )
    assert now_ns() - started >= 300 * NS_PER_MS  # its own time to wait for the server comes on top


def test_a_worker_from_which_the_server_cannot_be_reached_is_left_out_at_once() -> None:
    """Whatever it says: something else may answer on its own loopback."""
    place = Workplace(READY, SILENT, READY)
    place.prepare(2, unreachable_from="host1")
    assert place.notes == ["goes on without worker 1 (host1, pid 1) is elsewhere"]
    assert list(place.workers.peers) == ["w0", "w2"]


def test_only_the_embedded_server_is_out_of_reach_from_elsewhere(tmp_path: Path) -> None:
    embedded, given = (Target(host, (), tmp_path, print) for host in (None, "127.0.0.1:8001"))
    assert "-H HOST:8001" in (embedded.unreachable_from("elsewhere") or "")
    assert embedded.unreachable_from(socket.gethostname()) is None
    assert given.unreachable_from("elsewhere") is None


def test_the_name_of_this_machine_is_not_asked_for_each_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times a second, and each time a call of the system."""
    one, here = Target(None, (), tmp_path, print), socket.gethostname()
    monkeypatch.setattr(socket, "gethostname", None)
    assert one.unreachable_from(here) is None


# While it runs


def test_who_comes_goes_and_cannot_take_part_is_said_while_load_runs() -> None:
    place = Workplace(READY, READY, READY)
    one = place.step_run(step=replace(STEP, interval_ns=700 * NS_PER_MS))
    first, second, third = place.workers.peers.values()
    one.joined = {first.number: first}

    def later(turn: int) -> None:
        if turn == 1:
            one.joined[second.number] = second
        elif turn == 2:
            third.ready = p.Ready("r", 0, "no way to Triton")
        elif turn == 3:
            del place.answers["w0"]

    turns = itertools.count()
    one.record.progress = lambda at_ns: later(next(turns))  # type: ignore[method-assign]
    one._lead(place.talk.now)
    assert place.notes == [
        "worker 1 (host1, pid 1) has joined",
        "goes on without worker 2 (host2, pid 2): no way to Triton",
        "worker 0 (host0, pid 0) is gone",
    ]
    assert place.expected == [[0], [0, 1], [1]]
    assert list(place.workers.refused) == ["w2"]


# The end


def drained(*dones: p.Done | None, drain_s: float = 30.0) -> tuple[int, int, int]:
    """The end of a step whose workers answer StepEnd so, or not: the step's end as asked for and as it was
    (ns, the run's axis), and how long (ms) it took."""
    place = Workplace(*[READY for _ in dones])
    one = place.step_run(step=replace(STEP, drain_ns=int(drain_s * NS_PER_S)))
    for peer, done in zip(place.workers.peers.values(), dones, strict=True):
        one.joined[peer.number] = peer
        if done is not None:
            place.says(peer.node, done)
    leading = place.talk.leading = Leading(one.step, 0)
    started = now_ns()
    end = one._drain(leading)
    assert leading.over_ns is not None
    return leading.over_ns, end, (now_ns() - started) // NS_PER_MS


LEASES = (Lease(0, 0, NS_PER_S, 0, 1),)


def test_windows_are_waited_for_a_while_once_all_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = p.Done("r", 0, -1, 1, leases=LEASES)
    monkeypatch.setattr(step_run, "OWED_NS", NS_PER_S)
    assert drained(whole, whole)[2] < 1000
    monkeypatch.setattr(step_run, "OWED_NS", 100 * NS_PER_MS)
    assert 100 <= drained(whole, replace(whole, last_seq=3))[2] < 1000
    assert 400 <= drained(replace(whole, last_seq=3), None, drain_s=0.3)[2] < 1300


def test_a_worker_that_never_began_does_not_say_when_the_step_ended() -> None:
    """Its StepBegin got lost: it has stopped nothing."""
    began = p.Done("r", 0, -1, 700, leases=LEASES)
    never = p.Done("r", 0, -1, 0)
    assert drained(began, never)[1] == 700
    asked, end, _ = drained(never)
    assert end == asked
