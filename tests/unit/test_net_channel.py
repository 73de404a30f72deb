"""A channel over the lives and deaths of its connections: it reconnects, and it leaves when asked to."""

from __future__ import annotations

import functools
import itertools

import gevent
import pytest
from gevent.event import Event

import triton_users.net.connection as connection_module
from tests.fakes.channel_log import ChannelLog, item, until
from tests.fakes.peer import Link, Peer, echo, later, silent
from triton_users.clock import now_ns
from triton_users.net import Channel, RpcError
from triton_users.net.stream import TcpStream
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Connection as Wire
from triton_users.wire import Status, frames

PATH = "/test.Service/Echo"
UNAVAILABLE = int(Status.UNAVAILABLE)


# Connecting


def test_connect_waits_for_a_server_that_comes_late(peer: Peer, channel: Channel) -> None:
    peer.refuse()
    gevent.spawn_later(0.2, peer.listen)
    channel.connect()
    assert channel.connected


def test_connect_says_why_there_is_nobody(peer: Peer, channel: Channel) -> None:
    peer.refuse()
    started = now_ns()
    with pytest.raises(RpcError, match="Connection refused") as caught:
        channel.connect(200 * NS_PER_MS)
    assert caught.value.status == "UNAVAILABLE"
    assert 150 * NS_PER_MS < now_ns() - started < 5 * NS_PER_S
    peer.listen()
    gevent.sleep(0.2)
    assert not peer.links  # nobody waits any more: no attempts go on behind the caller's back


def test_a_port_that_is_no_grpc_port_is_told_so(
    peer: Peer, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Link, "flush", lambda link: None)
    peer.welcome = lambda link: link.raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(RpcError, match="does it speak HTTP/2"):
        channel.connect(600 * NS_PER_MS)


def test_a_call_connects_by_itself_and_waits_while_the_server_is_away(peer: Peer, channel: Channel) -> None:
    assert channel.call(PATH, b"one") == b"one"
    peer.refuse()
    peer.link.close()
    until(lambda: not channel.connected)
    gevent.spawn_later(0.1, peer.listen)
    assert channel.call(PATH, b"two") == b"two"


def test_attempts_become_rarer(peer: Peer) -> None:
    attempts: list[int] = []

    def connect(host: str, port: int, timeout_s: float) -> connection_module.Stream:
        attempts.append(now_ns())
        raise connection_module.ConnectionLost("refused")

    channel = Channel(peer.url, connect=connect)
    with pytest.raises(RpcError):
        channel.connect(3 * NS_PER_S)
    channel.close(0)
    assert 3 <= len(attempts) <= 8  # 50 + 100 + 200 + 400 + 800 + ... ms, each give or take a fifth
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(attempts))
    assert gaps[-1] > 3 * gaps[0]


def test_a_server_that_accepts_and_hangs_up_is_not_hammered(peer: Peer, channel: Channel) -> None:
    channel.connect()
    log = ChannelLog(channel, slots=8)
    peer.answer = lambda link, stream_id, message: link.close()
    log.room(0)
    gevent.sleep(1.2)
    assert len(peer.links) <= 8, "reconnected in a storm"
    assert len(log.failures) <= 8 * len(peer.links)
    assert {status for _, status, _ in log.failures} == {UNAVAILABLE}


# The server leaves


def test_slots_on_a_connection_that_goes_away_stay_taken(peer: Peer) -> None:
    """Until their answers come, also when another connection stands; those that wait for it count too."""
    connecting = Event()

    def connect(host: str, port: int, timeout_s: float) -> TcpStream:
        connecting.wait()
        return TcpStream.connect(host, port, timeout_s)

    peer.answer = silent
    connecting.set()
    channel = Channel(peer.url, connect=connect)
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(peer.requests) == 2)
    old = peer.link
    connecting.clear()
    log.slots = 3
    old.goaway(last=3)
    old.ping()
    until(lambda: any(type(e).__name__ == "PingAckReceived" for e in old.events))
    for _ in range(2):
        log.room(0)
        assert log.sent == channel.occupied == 3
    connecting.set()
    until(lambda: channel.connected)
    log.room(0)
    assert log.sent == channel.occupied == 3
    old.respond(1, b"answer")
    until(lambda: len(log.ok) == 1)
    assert log.sent == channel.occupied + 1 == 4
    channel.close(0)


def test_goaway_lets_what_is_in_flight_finish_and_nothing_fails(peer: Peer, channel: Channel) -> None:
    peer.answer = later(0.05)
    channel.connect()
    log = ChannelLog(channel, slots=8)
    log.room(0)
    until(lambda: len(peer.requests) == 8)
    peer.link.goaway()
    until(lambda: len(peer.links) == 2)
    until(lambda: len(log.ok) > 40)
    log.slots = 0
    until(lambda: not channel.in_flight)
    assert len(log.ok) == log.sent
    assert not log.failures
    assert channel.connections_lost == 0
    until(lambda: not peer.links[0].open)  # the old one is closed once it is idle


def test_requests_between_two_connections_wait(peer: Peer, channel: Channel) -> None:
    channel.connect()
    log = ChannelLog(channel)
    peer.link.goaway()
    until(lambda: not channel.connected)
    assert channel.ready
    arrival = now_ns() - 5
    assert log.send(3, arrivals=[arrival] * 3)
    caller = gevent.spawn(channel.call, PATH, b"me too")
    assert channel.in_flight >= 3
    until(lambda: len(log.ok) == 3)
    assert caller.get(timeout=5) == b"me too"
    assert all(ticket[0] == arrival for ticket, _ in log.ok)
    assert not log.failures


def test_what_waits_fails_when_there_is_no_successor(peer: Peer, channel: Channel) -> None:
    channel.connect()
    log = ChannelLog(channel)
    peer.refuse()
    peer.link.goaway()
    until(lambda: not channel.connected)
    assert log.send(3)
    caller = gevent.spawn(channel.call, PATH, b"me too")
    until(lambda: len(log.failures) == 3)
    assert all(ticket[1] == 0 for ticket, _, _ in log.failures), "never sent"
    with pytest.raises(RpcError, match="refused"):
        caller.get(timeout=5)
    assert not channel.ready
    assert log.send(1) is False
    assert log.changes[-1][0] is False
    peer.listen()
    until(lambda: channel.connected)
    assert log.changes[-1] == (True, "")


def test_streams_above_the_last_id_are_sent_again_and_the_others_finish(peer: Peer, channel: Channel) -> None:
    """As proxies do that end a connection after so many requests."""
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    arrivals = [now_ns() - at for at in range(4)]
    log.send(4, arrivals=arrivals)
    call = gevent.spawn(channel.call, PATH, b"me too")
    until(lambda: len(peer.requests) == 5)
    peer.answer = echo
    peer.link.goaway(last=3)
    until(lambda: len(log.ok) == 2)
    assert [link for link, _, _ in peer.requests[5:]] == [peer.links[1]] * 3
    assert [sent for _, _, sent in peer.requests[5:]] == [sent for _, _, sent in peer.requests[2:5]]
    assert [ticket[0] for ticket, _ in log.ok] == arrivals[2:]
    assert call.get(timeout=5) == b"me too"
    peer.links[0].respond(1, b"")
    peer.links[0].respond(3, b"")
    until(lambda: len(log.ok) == 4)
    assert not log.failures
    assert not channel.in_flight
    assert channel.connections_lost == 0


def test_a_server_that_takes_nothing_is_not_asked_for_ever(peer: Peer, channel: Channel) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(peer.requests) == 2)
    peer.link.goaway(last=0)
    until(lambda: len(log.failures) == 2)
    assert {status for _, status, _ in log.failures} == {UNAVAILABLE}


def test_a_server_that_takes_one_request_a_connection(peer: Peer, channel: Channel) -> None:
    def answer(link: Link, stream_id: int, message: bytes) -> None:
        if stream_id == 1:
            link.goaway(last=1)
            link.respond(1, message)

    peer.answer = answer
    channel.connect()
    log = ChannelLog(channel)
    log.send(8)
    until(lambda: len(log.ok) == 8)
    assert not log.failures
    assert len(peer.links) >= 8


def test_requests_sent_again_keep_their_deadline(peer: Peer) -> None:
    """Their ids on the next connection are above those of requests that were sent after them."""
    channel = Channel(peer.url, connections=2, timeout_ns=300 * NS_PER_MS)
    try:
        peer.answer = silent
        channel.connect()
        log = ChannelLog(channel)
        log.send(2)
        until(lambda: len(peer.requests) == 2)
        gevent.sleep(0.2)
        log.send(20)
        until(lambda: len(peer.requests) == 22)
        first = min(peer.links, key=lambda link: len(link.heads))
        first.goaway(last=1)
        until(lambda: len(log.failures) == 22)
    finally:
        channel.close(0)
    lateness = [
        at - ticket[1] - 300 * NS_PER_MS
        for (ticket, _, _), at in zip(log.failures, log.failed_at, strict=True)
    ]
    assert max(lateness) < 180 * NS_PER_MS, lateness  # out of order they would be 200 ms late
    assert {status for _, status, _ in log.failures} == {int(Status.DEADLINE_EXCEEDED)}


def test_what_was_refused_fails_where_there_is_no_successor(peer: Peer, channel: Channel) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(4)
    until(lambda: len(peer.requests) == 4)
    peer.refuse()
    peer.link.goaway(last=5)
    until(lambda: len(log.failures) == 1)
    assert {status for _, status, _ in log.failures} == {UNAVAILABLE}
    assert channel.in_flight == 3


def test_what_was_refused_is_not_lost_with_its_connection(peer: Peer, channel: Channel) -> None:
    """GOAWAY and a broken protocol in one go."""
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(4)
    until(lambda: len(peer.requests) == 4)
    peer.refuse()
    goaway = frames.head(8, frames.GOAWAY, 0, 0) + frames.pack_u32(3) + frames.pack_u32(0)
    peer.link.raw(goaway + frames.head(3, frames.PING, 0, 0) + bytes(3))
    until(lambda: len(log.failures) == 4)
    assert not channel.in_flight


def test_a_goaway_with_every_connection_is_no_storm(peer: Peer, channel: Channel) -> None:
    """A proxy that shuts down takes connections and sends them away at once."""
    peer.welcome = lambda link: gevent.spawn(link.goaway, 0)
    with pytest.raises(RpcError):
        channel.connect(NS_PER_S)
    assert len(peer.links) <= 8


def test_used_up_stream_ids_disturb_nobody(
    peer: Peer, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "Wire", functools.partial(Wire, max_stream_id=41))
    channel.connect()
    log = ChannelLog(channel, slots=8)
    log.room(0)
    until(lambda: len(log.ok) > 300)
    log.slots = 0
    until(lambda: not channel.in_flight)
    assert log.send(50)  # more than one connection has ids for
    until(lambda: not channel.in_flight)
    assert len(log.ok) == log.sent
    assert not log.failures
    assert len(peer.links) > 300 // 21
    assert channel.connections_lost == 0
    assert all(max(link.heads, default=1) <= 41 for link in peer.links)


# No connection


def test_without_a_connection_arrivals_are_refused_and_slots_wait(peer: Peer, channel: Channel) -> None:
    channel.connect()
    log = ChannelLog(channel, slots=4)
    log.room(0)
    until(lambda: len(log.ok) > 20)
    peer.refuse()
    peer.link.close()
    until(lambda: not channel.ready)
    failed, sent = len(log.failures), log.sent
    assert failed <= 4
    gevent.sleep(0.3)
    assert (len(log.failures), log.sent) == (failed, sent), "slots do not spin"
    assert log.send(1) is False
    with pytest.raises(RpcError) as caught:
        channel.send_call(item(), None, now_ns())
    assert caught.value.status == "UNAVAILABLE"
    done = len(log.ok)
    peer.listen()
    until(lambda: len(log.ok) > done + 20)
    log.slots = 0
    until(lambda: not channel.in_flight)
    assert len(log.ok) + len(log.failures) == log.sent


# Several connections


def test_several_connections_share_the_load_and_one_that_breaks_is_replaced(peer: Peer) -> None:
    channel = Channel(peer.url, connections=3)
    peer.answer = later(0.01)
    channel.connect()
    log = ChannelLog(channel)
    for _ in range(9):
        log.send(1)
    until(lambda: len(peer.requests) == 9)
    assert sorted(len(link.heads) for link in peer.links) == [3, 3, 3]
    until(lambda: len(log.ok) == 9)
    log.slots = 9
    log.room(0)
    peer.links[0].abort()
    until(lambda: len(peer.links) == 4)
    until(lambda: len(log.ok) > 60)
    log.slots = 0
    until(lambda: not channel.in_flight)
    assert len(log.ok) + len(log.failures) == log.sent
    assert len(log.failures) <= 9
    channel.close()
