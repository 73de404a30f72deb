"""Mutated conversations, made up and recorded from real servers: a ProtocolError or a clean result, the same
with and without the fast path."""

from __future__ import annotations

import random

import pytest

from tests.unit.wire_conversation import ASIDES, BAD, GOOD, Call, Conversation, converse, run, together
from tests.unit.wire_recorded import recordings

NORMAL = 20_000
ALL = 100_000
CONVERSATIONS = 200
"""Of each kind: made up, and recorded."""
VALID_RATIO = 0.9
"""The part of each stream that stays as it was: faults come late, when there is state to spoil."""

MUTATIONS = ("flip a bit", "change a byte", "delete", "insert", "repeat", "truncate", "swap")

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


def mutated(conversation: Conversation, order: random.Random) -> bytes:
    """One fault in the last tenth of the stream."""
    stream = conversation.stream
    place = order.randrange(int(len(stream) * VALID_RATIO), len(stream))
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


def fuzz(count: int, seed: int) -> dict[str, int]:
    """Raises on any exception but ProtocolError, and wherever the two paths differ."""
    conversations = [make(i) for make in (made_up, recorded) for i in range(CONVERSATIONS)]
    faults: dict[str, int] = {}
    for number in range(count):
        order = random.Random(seed + number)
        conversation = conversations[number % len(conversations)]
        stream = mutated(conversation, order)
        general = run(conversation.tickets, stream, fast=False)
        cut = [order.randrange(len(stream))] if number % 3 == 0 else []
        fast = run(conversation.tickets, stream, cut, fast=True)
        assert fast.key() == general.key(), number
        name = general.fault or "none"
        faults[name.split(":")[0]] = faults.get(name.split(":")[0], 0) + 1
    return faults


def report(count: int, faults: dict[str, int]) -> None:
    print(f"\n{count} mutated streams:")
    for name, n in sorted(faults.items(), key=lambda item: -item[1])[:40]:
        print(f"{n:>8}  {name}")


def test_mutated_conversations(capsys):
    faults = fuzz(NORMAL, seed=0)
    with capsys.disabled():
        print(f" {NORMAL} mutated streams, {faults['none']} without a fault ", end="")
    assert len(faults) > 10  # the mutations do reach the checks


@pytest.mark.slow
def test_many_mutated_conversations(capsys):
    faults = fuzz(ALL, seed=10_000_000)
    with capsys.disabled():
        report(ALL, faults)
    assert len(faults) > 10
