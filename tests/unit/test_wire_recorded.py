"""What real servers have sent comes out as it was answered, however it is cut, on both paths."""

from __future__ import annotations

import random

import pytest

from tests.unit.wire_conversation import Call, run
from tests.unit.wire_recorded import Recording, recordings

RECORDINGS = recordings()


def test_there_is_every_server() -> None:
    assert {one.name.split(":")[0] for one in RECORDINGS} == {"grpcio", "nghttpx", "nginx", "triton"}


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda one: one.name)
def test_every_answer_comes_out(recording: Recording, fast: bool) -> None:
    """Of load requests and of calls, whole and in pieces."""
    order = random.Random(1)
    n = len(recording.statuses)
    for kind in (lambda i: (i, 0, 0), Call):
        tickets = [kind(i) for i in range(n)]
        whole = run(tickets, recording.stream, fast=False)
        assert whole.fault is None
        assert whole.statuses(tickets) == list(recording.statuses)
        for pieces in (0, 1, 3, 10, 30):
            cuts = sorted(order.choices(range(len(recording.stream)), k=pieces))
            assert run(tickets, recording.stream, cuts, fast=fast).key() == whole.key(), cuts
