"""The open loop in made-up time: what is sent when, what is dropped, lost, refused; to the nanosecond."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.fakes.timeline import FakeTime
from tests.ledger import counts
from tests.rig import FOUR_SIXTEEN, IDENTITY, SIXTEEN, flow, step
from triton_users.engine import Requests, Sender
from triton_users.engine import sender as sender_module
from triton_users.engine.gaps import GAP_NS, Spare
from triton_users.inputs import Payloads, RandomSource
from triton_users.schedule import Schedule
from triton_users.stats.recorder import Recorder
from triton_users.step import CONSTANT, POISSON, Flow, Lease
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Encoded

SEED = 11


class Wireless:
    """A channel that only writes down what it is told to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int, bytes]] = []  # arrival, sent, body
        self.usable = True
        self.reason = "no connection"
        self.ended = 0

    def send(self, items: Sequence[Encoded], arrivals: Sequence[int], now: int) -> bool:
        if self.usable:
            self.sent += [(a, now, bytes(i.body)) for a, i in zip(arrivals, items, strict=True)]
        return self.usable

    def send_one(self, item: Encoded, arrival: int, now: int) -> bool:
        return self.send((item,), (arrival,), now)

    @property
    def in_flight(self) -> int:
        return len(self.sent) - self.ended

    def give_up(self) -> int:
        return 0


class Bench:
    """A sender, its made-up time and channel."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, flow: Flow, cap: int = 10**9, seed: int = SEED
    ) -> None:
        self.time = FakeTime()
        self.time.patch(monkeypatch, sender_module)
        self.spare = Spare()
        monkeypatch.setattr(sender_module, "spare", self.spare)
        self.recorder = Recorder()
        self.channel = Wireless()
        payloads = Payloads.build(IDENTITY, flow.classes, RandomSource(IDENTITY), 8, seed)
        requests = Requests(payloads, flow.name, self.recorder, None)
        self.sender = Sender(flow, requests.draw, self.recorder, seed, lambda: cap - self.channel.in_flight)
        self.sender.channel = self.channel  # type: ignore[assignment]
        self.t0 = self.time.now + 200 * NS_PER_MS
        self.step = step(flow, interval=10.0)
        self.recorder.begin(self.step, self.t0)
        self.sender.begin(self.step, self.t0, 0)
        assert flow.rate is not None
        self.schedule = Schedule(flow.process, flow.rate, seed, f"0/{flow.name}")

    def lease(self, from_s: float, until_s: float, k: int = 0, n: int = 1) -> None:
        self.sender.lease(Lease(0, int(from_s * NS_PER_S), int(until_s * NS_PER_S), k, n))

    def at(self, seconds: float) -> int:
        return self.t0 + int(seconds * NS_PER_S)

    def offsets(self, from_s: float, until_s: float, k: int = 0, n: int = 1) -> list[int]:
        found = self.schedule.arrivals(int(from_s * NS_PER_S), int(until_s * NS_PER_S), k, n)
        return [int(offset) + self.t0 for offset in found.offset_ns]

    def totals(self) -> dict[str, int]:
        """Of what has been booked since the last time; the answers count as ok here."""
        self.sender.account()
        return dict(counts(self.recorder.cut()[0].values()))


def bench(monkeypatch: pytest.MonkeyPatch, rate: float = 1000.0, **rest: int) -> Bench:
    return Bench(monkeypatch, flow(POISSON, rate=rate), **rest)


def test_every_arrival_is_sent_at_its_instant_and_none_before_t0(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 1)
    b.time.run_until(b.at(1.5))
    assert [arrival for arrival, _, _ in b.channel.sent] == b.offsets(0, 1)
    assert all(arrival == sent for arrival, sent, _ in b.channel.sent)
    assert b.channel.sent[0][0] >= b.t0
    assert b.totals()["scheduled"] == len(b.channel.sent) == b.schedule.count(0, NS_PER_S)


def test_what_can_wait_waits_for_an_arrival_that_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Bench(monkeypatch, flow(CONSTANT, rate=1000.0))
    b.lease(0, 1)
    done: list[int] = []
    for before_ns in (GAP_NS + 1000, GAP_NS - 1000):
        b.time.run_until(b.at(0.1 * (len(done) + 1)) - before_ns)
        b.spare.ask(lambda: done.append(b.time.now), b.time.now)
    assert done == [b.at(0.1) - GAP_NS - 1000]
    b.time.run_until(b.at(0.3) - 1000)
    assert done[1:] == [b.at(0.2)]
    b.spare.ask(lambda: done.append(b.time.now), b.time.now)
    assert len(done) == 2
    b.sender.stop(b.time.now)
    assert done[2:] == [b.at(0.3) - 1000]


def test_leases_that_follow_one_another_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    for i in range(8):
        b.time.run_until(b.at(i * 0.5 - 0.1))
        b.lease(i * 0.5, i * 0.5 + 0.5)
    b.time.run_until(b.at(5))
    assert [(a, s) for a, s, _ in b.channel.sent] == [(a, a) for a in b.offsets(0, 4)]


def test_a_lease_that_comes_late_is_made_up_for_and_shows_as_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.time.run_until(b.at(0.3))
    b.lease(0, 1)
    b.time.run_until(b.at(2))
    assert [a for a, _, _ in b.channel.sent] == b.offsets(0, 1)
    late = [sent - arrival for arrival, sent, _ in b.channel.sent if arrival < b.at(0.3)]
    assert min(late) >= 0
    assert max(late) > 290 * NS_PER_MS
    assert b.totals()["scheduled"] == b.schedule.count(0, NS_PER_S)


def test_what_nobody_leased_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 0.5)
    b.lease(1, 1.5)
    b.time.run_until(b.at(3))
    b.lease(3.2, 3.4)
    b.time.run_until(b.at(5))
    expected = b.offsets(0, 0.5) + b.offsets(1, 1.5) + b.offsets(3.2, 3.4)
    assert [(a, s) for a, s, _ in b.channel.sent] == [(a, a) for a in expected]
    assert b.totals()["scheduled"] == len(expected)


@pytest.mark.parametrize("n", [2, 3])
def test_the_workers_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    sent: list[tuple[int, bytes]] = []
    for k in range(n):
        b = bench(monkeypatch)
        b.lease(0, 1, k, n)
        b.time.run_until(b.at(2))
        sent += [(arrival, body) for arrival, _, body in b.channel.sent]
    whole = bench(monkeypatch)
    whole.lease(0, 1)
    whole.time.run_until(whole.at(2))
    assert sorted(sent) == [(arrival, body) for arrival, _, body in whole.channel.sent]


def test_the_cap_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch, cap=100)
    b.lease(0, 1)
    b.time.run_until(b.at(2))
    planned = b.offsets(0, 1)
    assert [a for a, _, _ in b.channel.sent] == planned[:100]
    totals = b.totals()
    assert (totals["scheduled"], totals["dropped"]) == (len(planned), len(planned) - 100)


def test_an_answer_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch, cap=10)
    b.lease(0, 2)
    b.time.run_until(b.at(1))
    b.channel.ended = 10
    b.time.run_until(b.at(3))
    assert len(b.channel.sent) == 20
    assert b.channel.sent[10][0] == b.offsets(1, 2)[0]


def test_a_freeze_of_a_second_sends_late(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 2)
    b.time.run_until(b.at(0.5))
    b.time.freeze_until(b.at(1.5))
    b.time.run_until(b.at(3))
    assert [a for a, _, _ in b.channel.sent] == b.offsets(0, 2)
    late = [a for a, s, _ in b.channel.sent if s > a]
    assert late == b.offsets(0.5, 1.5)
    assert {s for a, s, _ in b.channel.sent if s > a} == {b.at(1.5)}
    totals = b.totals()
    assert (totals["lost"], totals["dropped"]) == (0, 0)


def test_what_a_long_freeze_missed_is_lost_and_no_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 5)
    b.time.run_until(b.at(0.5))
    b.time.freeze_until(b.at(3.5))
    b.time.run_until(b.at(6))
    lost = b.offsets(0.5, 1.5)  # overdue by more than two seconds
    assert [a for a, _, _ in b.channel.sent] == b.offsets(0, 0.5) + b.offsets(1.5, 5)
    totals = b.totals()
    assert (totals["scheduled"], totals["lost"]) == (b.schedule.count(0, 5 * NS_PER_S), len(lost))


def test_without_a_connection_arrivals_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 1)
    b.time.run_until(b.at(0.5))
    b.channel.usable = False
    b.time.run_until(b.at(0.7))
    b.channel.usable = True
    b.time.run_until(b.at(2))
    assert [a for a, _, _ in b.channel.sent] == b.offsets(0, 0.5) + b.offsets(0.7, 1)
    b.sender.account()
    series = list(b.recorder.cut()[0].values())
    assert counts(series)["failed"] == len(b.offsets(0.5, 0.7))
    assert {status for one in series for status in one.failed} == {"UNAVAILABLE"}


def test_a_stop_accounts_for_what_was_due_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(monkeypatch)
    b.lease(0, 2)
    b.time.run_until(b.at(0.5))
    b.time.now = b.at(0.75)  # the timer was late, and then it is stopped
    b.sender.stop(b.time.now)
    b.time.run_until(b.at(3))
    assert [a for a, _, _ in b.channel.sent] == b.offsets(0, 0.75)
    assert b.totals()["scheduled"] == b.schedule.count(0, 3 * NS_PER_S // 4)


def test_a_slow_flow_under_long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    b = Bench(monkeypatch, flow(CONSTANT, rate=0.5))
    b.lease(0, 9)
    b.time.run_until(b.at(10))
    assert [(a, s) for a, s, _ in b.channel.sent] == [(a, a) for a in b.offsets(0, 9)]
    assert len(b.channel.sent) == 5


def test_the_seed_decides_arrivals_classes_and_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = flow(POISSON, rate=500.0, classes=((SIXTEEN, 3.0), (FOUR_SIXTEEN, 1.0)))

    def sent(seed: int) -> list[tuple[int, bytes]]:
        b = Bench(monkeypatch, mixed, seed=seed)
        b.lease(0, 2)
        b.time.run_until(b.at(3))
        return [(arrival - b.t0, body) for arrival, _, body in b.channel.sent]

    first, again, other = sent(1), sent(1), sent(2)
    assert first == again
    assert not set(first) & set(other)
    assert not {body for _, body in first} & {body for _, body in other}
    small = min(len(body) for _, body in first)
    share = np.mean([len(body) == small for _, body in first])
    assert 0.7 < share < 0.8
    assert len({body for _, body in first}) == 16  # 8 inputs of each class, all drawn
