"""What master and workers say: every message round trip, who fits, clocks, and shares of the cap."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from triton_users.options import Settings
from triton_users.run import protocol as p
from triton_users.run.conversation import shares
from triton_users.run.workers import Workers, mismatch
from triton_users.step import POISSON, Flow, Lease, RequestClass, Step
from triton_users.timesync import DRIFT, ECHOES, ClockSync
from triton_users.units import NS_PER_MS, NS_PER_S, RequestRate

STEP = Step(
    2,
    "batch 1, 50/s poisson",
    (Flow("f", "Users", "m", POISSON, 50.0, None, ((RequestClass("m", 1, (("X", (1, 2)),)), 1.0),)),),
    10,
    1000,
    3,
)
SETTINGS = replace(Settings(), request_rates=(RequestRate(50.0),), batch_mix=((1, 2.0), (8, 1.0)))
MESSAGES = [
    p.RunStart("r", "results/r", 2**32 - 1, "127.0.0.1:8001", 3, SETTINGS),
    p.StepPrepare(STEP),
    p.StepBegin(2, 10**15, 2**61, 256),
    p.Grant((Lease(2, 0, 500, 1, 3), Lease(2, 500, 1000, 0, 2)), 7, 12, (8, 9)),
    p.Grant((), 7),
    p.StepEnd(2, 10, 11, (1, 2)),
    p.RunEnd("r"),
    p.Refused("why"),
    p.Hello("1.0", "f", "d", "host", 4, "198.18.0.2"),
    p.Ready("r", 2, "no server", ("note",)),
    p.Beat(1, 2, "r", 2, -1, 3),
    p.WindowSent("r", 4, b"\x00\xff"),
    p.Done("r", 2, 4, 5, 6, (Lease(2, 0, 1000, 1, 3),), "no space"),
]


def test_every_message_has_a_round_trip() -> None:
    for message in MESSAGES:
        assert p.decode(p.encode(message)) == (message,)
    assert p.decode(p.encode(*MESSAGES)) == tuple(MESSAGES)
    sent = {type(message) for message in MESSAGES}
    assert {cls for cls in p._TYPES.values() if cls.__module__ == p.__name__} == sent


@pytest.mark.parametrize(
    "packed", [b"", b"\xc1", b"\x81\xa1!\xa4Nope", b"\x91\x81\xa1!\xa4Nope", p.encode(p.RunEnd("r"))[:-1]]
)
def test_what_is_not_ours_is_a_value_error(packed: bytes) -> None:
    with pytest.raises(ValueError, match="not a message of ours"):
        p.decode(packed)


def test_a_hello_of_another_version_can_be_read() -> None:
    """With fields that we do not know, without some that we do."""
    packed = p.encode(p.Hello("9.0")).replace(b"\xa7address", b"\xa7another")
    assert p.decode(packed) == (p.Hello("9.0"),)


def test_a_message_is_a_map_of_its_fields() -> None:
    """A worker of another version must be able to read so much as a refusal."""
    assert p.encode(p.Refused("why")) == b"\x82\xa1!\xa7Refused\xa6reason\xa3why"


def test_what_is_no_message_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="cannot send ClockSync"):
        p.encode(ClockSync())


HELLO = p.Hello("1.0", "f" * 16, "d" * 16, "here", 1, "127.0.0.1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "0.9"}, ["triton-users 0.9", "the master 1.0", "install"]),
        ({"fingerprint": "0" * 16}, ["fingerprint 00000000", "ffffffff", "numpy"]),
        ({"digest": "0" * 16}, ["another locustfile", "-f -"]),
    ],
)
def test_who_differs_is_refused(change: dict[str, str], words: list[str]) -> None:
    why = mismatch(replace(HELLO, **change), HELLO)
    assert why is not None
    assert all(word in why for word in words), why


def test_another_host_is_no_difference() -> None:
    assert mismatch(replace(HELLO, host="there", pid=2, address="198.18.0.1"), HELLO) is None


def test_the_refused_are_named_and_sent_home() -> None:
    sent: list[tuple[object, ...]] = []
    workers = Workers(lambda packed, node: sent.append((*p.decode(packed), node)), lambda: ["a", "b"])
    peer = workers.hello("a", HELLO, 0, HELLO)
    assert peer is not None
    assert workers.hello("b", replace(HELLO, version="2", pid=77), 0, HELLO) is None
    assert workers.refused["b"].startswith("here (pid 77) runs triton-users 2")
    workers.turn_away()
    assert sent == [(p.Refused(workers.refused["b"]), "b")]
    workers.refuse(peer, f"{peer.name}: no connection")
    assert workers.here(0) == []
    assert workers.refused["a"] == "worker 0 (here, pid 1): no connection"


def test_a_new_run_forgets_the_last_ones_steps_and_those_who_left() -> None:
    members = ["a"]
    workers = Workers(lambda packed, node: None, lambda: members)
    for node in ("a", "b"):
        workers.hello(node, HELLO, 0, HELLO)
    peer = workers.peers["a"]
    for one in workers.peers.values():
        one.ready, one.done = p.Ready("r", 0), p.Done("r", 0, 3, 4)
    workers.new_run(50 * NS_PER_S)
    assert list(workers.peers) == ["a"]
    assert not peer.is_ready(0)
    assert not peer.is_done(0)
    assert workers.here(50 * NS_PER_S) == [peer]
    joiner = workers.hello("c", HELLO, 0, HELLO)
    assert joiner is not None
    assert joiner.number == 2  # never used again
    assert workers.nodes == ["a", "b", "c"]
    members.append("b")  # it was only frozen; it will not say hello again
    workers.welcome()
    assert workers.peers["b"].number == 1
    assert not workers.peers["b"].is_done(0)


@pytest.mark.parametrize(("cap", "numbers"), [(1024, [3]), (10, [9, 1, 4]), (2, [1, 2, 3]), (64, [])])
def test_shares_of_the_cap(cap: int, numbers: list[int]) -> None:
    found = shares(cap, numbers)
    assert sorted(found) == sorted(numbers)
    assert all(part >= 1 for part in found.values())
    if 0 < len(numbers) <= cap:
        assert sum(found.values()) == cap
        assert max(found.values()) - min(found.values()) <= 1


# Clocks


@pytest.mark.parametrize("asymmetry", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("drift", [0.0, 50e-6, -100e-6])
def test_the_offset_is_within_its_stated_uncertainty(asymmetry: float, drift: float) -> None:
    """Random delays, all of them on one way in the worst case, every second answer held for a while, and
    clocks that drift within the bound."""
    for seed in range(40):
        draw = random.Random(seed)
        sync, offset = ClockSync(), draw.randint(-(10**12), 10**12)
        base = draw.uniform(0, 5) * NS_PER_MS
        for round_ in range(200):
            sent = round_ * NS_PER_S
            trip = int(base + draw.expovariate(1 / (20 * NS_PER_MS)))
            held = draw.randint(0, 300 * NS_PER_MS) * (round_ % 2)
            answered, back = sent + int(trip * asymmetry) + held, sent + trip + held
            theirs = answered + offset + int(drift * answered)
            sync.add(sent, theirs, back, int(held * (1 + drift)))
            true = offset + drift * back
            assert sync.uncertainty_ns is not None
            assert abs(sync.offset_ns - true) <= sync.uncertainty_ns, (seed, round_)
        assert sync.uncertainty_ns < base / 2 + 5 * NS_PER_MS + DRIFT * 60 * NS_PER_S


def test_nothing_is_known_before_an_echo() -> None:
    sync = ClockSync()
    sync.add(10, 5, 9)  # came back before it was sent: not believed
    assert not sync.known
    assert sync.uncertainty_ns is None
    sync.add(10, 1015, 20)
    assert (sync.known, sync.offset_ns, sync.uncertainty_ns) == (True, 1000, 7)


def test_what_was_held_is_not_the_ways() -> None:
    """The four stamps of NTP: sent at 10, there at 1015, answered at 1515, back at 520."""
    sync = ClockSync()
    sync.add(10, 1515, 520, 500)
    assert (sync.offset_ns, sync.uncertainty_ns) == (1000, 7)
    sync.add(10, 1515, 520, 511)  # held for longer than it was away
    assert (sync.offset_ns, sync.uncertainty_ns) == (1000, 7)


def test_the_shortest_trip_counts_until_it_is_old() -> None:
    sync = ClockSync()
    sync.add(0, 1_000_000, 0)
    sync.add(1000, 5_000_000 + 1000, 9000)
    assert sync.offset_ns == 1_000_000
    sync.add(NS_PER_S, NS_PER_S + 1_000_100, NS_PER_S)  # as good, and new
    assert sync.offset_ns == 1_000_100


@pytest.mark.parametrize("spread_ns", [0, 3, 100_000, 200 * NS_PER_MS])
def test_the_best_of_the_last_echoes_is_that_of_the_plain_formula(spread_ns: int) -> None:
    """To the nanosecond: which of two is taken that differ by less than that does not matter. Wide trips keep
    one echo the best until it is too old to be looked back on."""
    draw = random.Random(spread_ns)
    sync, echoes, now = ClockSync(), list[tuple[int, int, int]](), 10**16
    for _ in range(2000):
        trip = draw.randint(0, spread_ns)
        now += trip + draw.randint(0, 500 * NS_PER_MS)
        offset = draw.randint(-NS_PER_S, NS_PER_S)
        sync.add(now - trip, now - trip // 2 + offset, now)
        echoes = [*echoes, (now, (now - trip // 2 + offset) - (2 * now - trip) // 2, trip)][-ECHOES:]
        wrong = [trip // 2 + round(DRIFT * trip) + 2 + round(DRIFT * (now - at)) for at, _, trip in echoes]
        assert sync.uncertainty_ns is not None
        assert abs(sync.uncertainty_ns - min(wrong)) <= 1
        best = [echo[1] for echo, ns in zip(echoes, wrong, strict=True) if ns <= min(wrong) + 1]
        assert sync.offset_ns in best
