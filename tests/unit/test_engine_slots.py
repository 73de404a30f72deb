"""The closed loop against a server of h2: as many in flight as there are slots, and only when leased."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest

from tests.fakes.channel_log import until
from tests.fakes.engine_load import LONG_S, answer_all, run_until
from tests.fakes.peer import Link, Peer, echo, silent
from tests.fakes.timeline import FakeTime
from tests.ledger import failures, per_trial
from tests.rig import Rig, flow, step
from triton_users.engine import leased as leased_module
from triton_users.engine.leased import Leased
from triton_users.net import Channel, Source
from triton_users.step import Lease
from triton_users.units import NS_PER_MS, NS_PER_S


class Watched:
    """How many requests are open at once."""

    def __init__(self, peer: Peer, delay_s: float = 0.002) -> None:
        self.open = self.most = 0
        self._delay_s = delay_s
        peer.answer = self._answer

    def _answer(self, link: Link, stream_id: int, message: bytes) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        gevent.spawn_later(self._delay_s, self._respond, link, stream_id)

    def _respond(self, link: Link, stream_id: int) -> None:
        self.open -= 1
        link.respond(stream_id, b"")


class Sends:
    """When the engine sent, by its own clock: a busy server may hear of it much later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, channel: Channel) -> None:
        self.at: list[int] = []
        self._fill = channel.fill
        monkeypatch.setattr(channel, "fill", self._watched)

    def _watched(self, slots: int, source: Source, now: int) -> int:
        sent = self._fill(slots, source, now)
        self.at += [now] * sent
        return sent


@pytest.mark.parametrize("slots", [1, 8, 50])
def test_as_many_in_flight_as_slots_and_never_before_t0(
    peer: Peer, rig: Rig, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(peer)
    rig.begin(step(flow()), slots)
    sends = Sends(monkeypatch, rig.channels["flow"])
    rig.lease(0, LONG_S)
    until(lambda: len(peer.requests) > 5 * slots)
    _, totals = rig.end()
    assert watched.most == slots
    assert sends.at[0] >= rig.t0_ns
    assert totals["ok"] == totals["scheduled"] == len(peer.requests) == len(sends.at)


def test_warm_up_and_trials_are_told_apart(rig: Rig) -> None:
    windows, _ = rig.run(step(flow(), warm_up=0.4, interval=0.4, trials=3), 2)
    trials = per_trial(windows)
    assert set(trials) - {-2} == {-1, 0, 1, 2}
    assert all(trial["scheduled"] for number, trial in trials.items() if number >= -1)


def test_nothing_is_sent_in_a_gap_between_leases(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.begin(step(flow()), 2)
    sends = Sends(monkeypatch, rig.channels["flow"])
    rig.lease(0, 0.4)
    rig.lease(0.6, LONG_S)
    rig.at(0.6)
    until(lambda: bool(sends.at) and sends.at[-1] - rig.t0_ns >= 600 * NS_PER_MS)
    rig.end()
    inside = [at - rig.t0_ns for at in sends.at]
    assert not [at for at in inside if 400 * NS_PER_MS <= at < 600 * NS_PER_MS or at < 0]
    assert [at for at in inside if at < 400 * NS_PER_MS], "the first lease was used"


def test_a_lease_that_comes_late_starts_at_once(peer: Peer, rig: Rig) -> None:
    rig.begin(step(flow(), interval=1.0), 2)
    rig.at(0.1)
    assert not peer.requests
    rig.lease(0, LONG_S)
    until(lambda: len(peer.requests) > 4)
    rig.end()


def test_users_come_and_go_in_mid_step(peer: Peer, rig: Rig) -> None:
    watched = Watched(peer, 0.01)
    rig.begin(step(flow()), 2)
    rig.lease(0, LONG_S)
    until(lambda: watched.most == 2)
    rig.lanes[0].users(6)
    until(lambda: watched.most == 6)
    rig.lanes[0].users(1)
    until(lambda: watched.open <= 1)
    watched.most = 0
    until(lambda: watched.most > 0)
    assert watched.most == 1
    rig.lanes[0].users(0)
    until(lambda: not watched.open)
    assert peer.resets == 0
    rig.end()


def test_two_flows_keep_their_slots_apart(peer: Peer, rig: Rig) -> None:
    one, two = flow(name="one"), flow(name="two")
    windows, totals = run_until(
        rig, step(one, two), {"one": 1, "two": 5}, lambda: len({link for link, _, _ in peer.requests}) == 2
    )
    assert {key.flow for window in windows for key in window.series} == {"one", "two"}
    assert len(peer.links) == 2
    assert totals["ok"] == len(peer.requests)


def test_no_answer_at_the_drains_end(peer: Peer, rig: Rig) -> None:
    peer.answer = silent
    windows, totals = run_until(rig, step(flow()), 3, lambda: len(peer.requests) == 3, drain=0.1)
    assert totals["failed"] == 3
    assert failures(windows) == {"NO_ANSWER": 3}
    assert peer.resets == 0
    # The next step has all of its slots, though the server still owes three answers.
    peer.answer = echo
    _, totals = run_until(rig, step(flow(), index=1), 3, lambda: len(peer.requests) > 10)
    assert totals["ok"] > 3


def test_a_deadline_fails_and_holds_its_slot(peer: Peer) -> None:
    peer.answer = silent
    with Rig(peer.url, timeout_ns=NS_PER_S) as rig:
        rig.begin(step(flow()), 3)
        rig.lease(0, LONG_S)
        until(lambda: len(peer.requests) == 3)
        until(lambda: not rig.lanes[0].in_flight)
        gevent.sleep(0.1)
        assert len(peer.requests) == 3, "a slot whose stream is open takes no other request"
        peer.answer = echo
        answer_all(peer, b"late")
        until(lambda: len(peer.requests) > 6)
        windows, totals = rig.end()
        assert failures(windows) == {"DEADLINE_EXCEEDED": 3}
        assert totals["ok"] > 3
        assert peer.resets == 0


def test_slots_wait_for_a_server_that_went_away_and_go_on(peer: Peer, rig: Rig) -> None:
    rig.begin(step(flow()), 4)
    rig.lease(0, LONG_S)
    until(lambda: len(peer.requests) > 8)
    peer.refuse()
    peer.link.abort()
    gevent.sleep(0.3)
    before = len(peer.requests)
    peer.listen()
    until(lambda: len(peer.requests) > before + 20)
    windows, totals = rig.end()
    assert failures(windows) == {"UNAVAILABLE": totals["failed"]}
    assert 0 < totals["failed"] <= 4, "no storm of instant failures"


def test_a_server_that_hangs_up_on_every_request_makes_no_storm(peer: Peer, rig: Rig) -> None:
    peer.answer = lambda link, stream_id, message: link.close()
    rig.begin(step(flow()), 8)
    rig.lease(0, LONG_S)
    until(lambda: len(peer.links) > 2)
    gevent.sleep(0.5)
    _, totals = rig.end()
    assert len(peer.links) <= 10
    assert 8 <= totals["failed"] == totals["scheduled"] <= 8 * len(peer.links)


def test_the_same_seed_sends_the_same_bodies(peer: Peer) -> None:
    def bodies(seed: int) -> list[bytes]:
        peer.requests.clear()
        with Rig(peer.url, seed=seed) as rig:
            run_until(rig, step(flow()), 1, lambda: len(peer.requests) >= 20)
        return [message for _, _, message in peer.requests][:20]

    first, again, other = bodies(1), bodies(1), bodies(2)
    assert len(first) == 20
    assert first == again
    assert not set(first) & set(other)


def spans(monkeypatch: pytest.MonkeyPatch, *leases: tuple[float, float, float]) -> list[tuple[int, int]]:
    """The ms in which sending is allowed, for leases (given at, from, until), in ms; checked every ms."""
    time = FakeTime()
    time.patch(monkeypatch, leased_module)
    opened: list[int] = []
    t0 = time.now + 100 * NS_PER_MS
    leased = Leased(lambda: opened.append((time.now - t0) // NS_PER_MS))
    leased.begin(t0)
    waiting = sorted(leases)
    allowed: list[int] = []
    for ms in range(-100, 1000):
        time.run_until(t0 + ms * NS_PER_MS)
        while waiting and waiting[0][0] <= ms:
            _, start, until = waiting.pop(0)
            leased.add(Lease(0, int(start * NS_PER_MS), int(until * NS_PER_MS), 0, 1))
            time.run_until(t0 + ms * NS_PER_MS)
        if leased.allows(time.now):
            allowed.append(ms)
    edges = [ms for before, ms in pairwise([-101, *allowed]) if ms != before + 1 or before == -101]
    assert opened == edges, "it tells of every opening, once"
    ends = [ms + 1 for ms, after in pairwise([*allowed, 10**6]) if after != ms + 1]
    return list(zip(edges, ends, strict=True))


@pytest.mark.parametrize(
    ("leases", "expected"),
    [
        ([(-50, 0, 100)], [(0, 100)]),
        ([(-50, 0, 100), (-50, 100, 200)], [(0, 200)]),
        ([(-50, 0, 100), (50, 100, 200), (150, 200, 300)], [(0, 300)]),
        ([(-50, 0, 100), (-50, 300, 400)], [(0, 100), (300, 400)]),
        ([(-50, 0, 100), (50, 300, 400)], [(0, 100), (300, 400)]),
        ([(-50, 0, 100), (50, 300, 400), (60, 400, 500), (70, 600, 700)], [(0, 100), (300, 500), (600, 700)]),
        ([(-50, 0, 100), (150, 200, 300)], [(0, 100), (200, 300)]),
        ([(-50, 0, 100), (150, 100, 300)], [(0, 100), (150, 300)]),
        ([(50, 0, 100)], [(50, 100)]),
        ([(-50, 0, 100), (-40, 200, 300), (120, 300, 400)], [(0, 100), (200, 400)]),
    ],
)
def test_leases_join_where_they_touch(
    monkeypatch: pytest.MonkeyPatch, leases: list[tuple[float, float, float]], expected: list[tuple[int, int]]
) -> None:
    assert spans(monkeypatch, *leases) == expected


def test_a_second_has_what_it_has(rig: Rig) -> None:
    """A step longer than a window: the windows join, and each closes."""
    windows, totals = rig.run(step(flow(), interval=2.2), 3)
    assert len(windows) >= 3
    assert all((w.end_ns - w.start_ns) < 1.5 * NS_PER_S for w in windows)
    assert sum(w.generator.gc_collections for w in windows) == 0
    assert totals["ok"] == totals["scheduled"]
