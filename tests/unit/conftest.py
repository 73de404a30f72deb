"""Fixtures of what sends over a real socket: a server of h2, a channel to it, a worker's engine."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from tests.fakes.peer import Peer, later
from tests.rig import Rig
from triton_users.net import Channel
from triton_users.wire import Connection


@pytest.fixture
def bounded() -> Iterator[None]:
    """A test that hangs fails."""
    with gevent.Timeout(20, AssertionError("the test hangs")):
        yield


@pytest.fixture
def peer(bounded: None) -> Iterator[Peer]:
    """Answers at once. What it heard must have been legal HTTP/2."""
    with Peer() as made:
        yield made
        assert all(link.broken is None for link in made.links)


@pytest.fixture
def channel(peer: Peer) -> Iterator[Channel]:
    made = Channel(peer.url)
    yield made
    made.close(0)


@pytest.fixture
def rig(peer: Peer) -> Iterator[Rig]:
    """Its server takes 2 ms for an answer."""
    peer.answer = later(0.002)
    with Rig(peer.url) as made:
        yield made


@pytest.fixture
def general_frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the frames stood, in the views given, that the general parser has taken."""
    places: list[int] = []
    frame = Connection._frame
    monkeypatch.setattr(Connection, "_frame", lambda self, view, p: places.append(p) or frame(self, view, p))
    return places
