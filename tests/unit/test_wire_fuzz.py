"""Mutated conversations, recorded from real servers and made up: a ProtocolError or a clean result, the same
with and without the fast path.

A mutation is not always a fault: a message may hold any bytes. So the streams that end in a ProtocolError are
counted, those of recorded conversations apart.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from tests.unit.wire_conversation import ASIDES, BAD, GOOD, Call, Conversation, converse, run, together
from tests.unit.wire_recorded import frames_of, recordings
from triton_users.wire import frames

QUICK = 2_000
ALL = 100_000
"""Malformed streams, mutated from recorded conversations."""
CONVERSATIONS = 200
"""Of each source."""
SOURCES = ("recorded", "recorded", "recorded", "made up")
VALID_RATIO = 0.9
"""The part of each stream that stays as it was: faults come late, when there is state to spoil."""

NO_FAULT = "none"
MIN_KINDS = 12
"""Of faults: the mutations do reach the checks."""
PREFIX_SIZE = 5
"""Of a gRPC message, in front of its bytes."""

MUTATIONS = (
    *("flip a bit", "change a byte", "truncate", "swap"),
    *("delete", "insert", "repeat") * 2,  # most often a fault
)

RECORDINGS = recordings()
WANTS = ("tuple", "tuple", "tuple", "call", "expired")


def made_up(seed: int) -> Conversation:
    """A short conversation, with equal responses before the place of the mutation and all kinds around it."""
    order = random.Random(seed)
    kinds = [together] * 3 + order.choices([*GOOD, together, together, *BAD], k=4)
    wants = order.choices(WANTS, k=len(kinds))
    conversation = converse(kinds, wants, [bytes([i]) * 20 for i in range(len(kinds))], order)
    conversation.units += order.choices(ASIDES, k=order.randrange(3))
    conversation.stream = b"".join(conversation.units)
    return conversation


def recorded(seed: int) -> Conversation:
    """What a real server sent, to askers drawn anew."""
    order = random.Random(seed)
    one = RECORDINGS[seed % len(RECORDINGS)]
    wants = order.choices(WANTS, k=len(one.statuses))
    askers = {"tuple": lambda i: (i, 0, 0), "call": Call, "expired": lambda i: None}
    tickets = [askers[want](i) for i, want in enumerate(wants)]
    return Conversation(tickets, one.stream, set(), {}, wants.count("expired"), units=one.units)


def places(stream: bytes) -> list[list[int]]:
    """Where in its last tenth a stream says more than tensors: in heads of frames, and behind them (header
    blocks, what the connection says, prefixes of messages); what of these there is."""
    heads: list[int] = []
    others: list[int] = []
    start = 0
    for frame in frames_of(stream):
        behind = start + frames.HEAD_SIZE
        start += len(frame)
        heads += range(behind - frames.HEAD_SIZE, behind)
        others += range(behind, min(behind + PREFIX_SIZE, start) if frame[3] == frames.DATA else start)
    since = len(stream) * VALID_RATIO
    late = ([place for place in part if place >= since] for part in (heads, others))
    return [part for part in late if part]


def mutated(conversation: Conversation, place: int, order: random.Random) -> bytes:
    """One fault, at this place of the stream or behind it."""
    stream = conversation.stream
    before, after = stream[:place], stream[place:]
    n = 1 + order.randrange(12)
    late = {
        "flip a bit": bytes([after[0] ^ 1 << order.randrange(8)]) + after[1:],
        "change a byte": order.randbytes(1) + after[1:],
        "delete": after[n:],
        "insert": order.randbytes(n) + after,
        "repeat": after[:n] + after,
        "truncate": b"",
        "swap": None,
    }[order.choice(MUTATIONS)]
    return b"".join(swapped(conversation.units, place, order)) if late is None else before + late


def swapped(units: list[bytes], place: int, order: random.Random) -> list[bytes]:
    """Two units from the place of the mutation on change places, or the last one comes again."""
    start, first = 0, len(units)
    for index, unit in enumerate(units):
        if start >= place:
            first = index
            break
        start += len(unit)
    late = units[first:]
    if len(late) < 2:
        return [*units, units[-1]]
    i, j = order.sample(range(len(late)), 2)
    late[i], late[j] = late[j], late[i]
    return units[:first] + late


def fuzz(malformed: int, seed: int) -> dict[str, Counter[str]]:
    """Source -> outcome -> count, with so many malformed streams from recorded conversations. Raises on any
    exception but ProtocolError, and wherever the two paths differ."""
    makers = {"recorded": recorded, "made up": made_up}
    whole = {source: [make(i) for i in range(CONVERSATIONS)] for source, make in makers.items()}
    known = {source: [(one, places(one.stream)) for one in whole[source]] for source in makers}
    outcomes = {source: Counter[str]() for source in makers}
    number = 0
    while faults(outcomes["recorded"]) < malformed:
        order = random.Random(seed + number)
        source = SOURCES[number % len(SOURCES)]
        conversation, where = order.choice(known[source])
        stream = mutated(conversation, order.choice(order.choice(where)), order)
        general = run(conversation.tickets, stream, fast=False)
        cut = [order.randrange(len(stream))] if number % 3 == 0 else []
        fast = run(conversation.tickets, stream, cut, fast=True)
        assert fast.key() == general.key(), number
        outcomes[source][re.sub(r"\d+", "#", general.fault or NO_FAULT)] += 1
        number += 1
    return outcomes


def faults(outcomes: Counter[str]) -> int:
    return outcomes.total() - outcomes[NO_FAULT]


def check(outcomes: dict[str, Counter[str]], at_least: int) -> None:
    """Prints how many streams were malformed."""
    for source, found in outcomes.items():
        print(
            f"\n{found.total():,} mutated streams, {source}: {faults(found):,} malformed, {len(found)} kinds",
            end="",
        )
    assert faults(outcomes["recorded"]) >= at_least
    assert min(len(found) for found in outcomes.values()) >= MIN_KINDS


def test_mutated_conversations(capsys):
    outcomes = fuzz(QUICK, seed=0)
    with capsys.disabled():
        check(outcomes, QUICK)


@pytest.mark.slow
def test_many_mutated_conversations(capsys):
    outcomes = fuzz(ALL, seed=10_000_000)
    with capsys.disabled():
        check(outcomes, ALL)
        for name, count in outcomes["recorded"].most_common(40):
            print(f"\n{count:>8}  {name}", end="")
