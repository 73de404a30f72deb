"""What a channel gives up, and how it ends: deadlines, drains, frozen servers."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

from tests.fakes.channel_log import ChannelLog, until
from tests.fakes.peer import Peer, echo, later, silent
from triton_users.clock import now_ns
from triton_users.net import NO_ANSWER, Channel, RpcError
from triton_users.net.stream import TcpStream
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.wire import Status

PATH = "/test.Service/Echo"
UNAVAILABLE = int(Status.UNAVAILABLE)


# Deadlines


@pytest.fixture
def hasty(peer: Peer) -> Iterator[Channel]:
    made = Channel(peer.url, timeout_ns=50 * NS_PER_MS)
    made.connect()
    yield made
    made.close(0)


def test_a_request_is_given_up_at_its_time_and_holds_its_slot(peer: Peer, hasty: Channel) -> None:
    peer.answer = silent
    log = ChannelLog(hasty)
    log.send(2)
    gevent.sleep(0.03)
    log.send(1)
    until(lambda: len(log.failures) == len(peer.requests) == 3)
    for (_, sent, _), at in zip([t for t, _, _ in log.failures], log.failed_at, strict=True):
        assert 50 * NS_PER_MS <= at - sent < 5 * NS_PER_S
    assert {status for _, status, _ in log.failures} == {int(Status.DEADLINE_EXCEEDED)}
    assert (hasty.in_flight, hasty.occupied) == (0, 3)
    for stream_id in (1, 3, 5):
        peer.link.respond(stream_id, b"late")
    until(lambda: hasty.occupied == 0)
    assert not log.ok
    assert peer.resets == 0
    assert len(log.failures) == 3


def test_a_late_answer_and_a_large_one_are_dropped(peer: Peer, hasty: Channel) -> None:
    peer.answer = lambda link, stream_id, message: gevent.spawn_later(
        0.1, link.respond, stream_id, bytes(500_000)
    )
    log = ChannelLog(hasty)
    log.send(2)
    until(lambda: len(log.failures) == 2)
    until(lambda: hasty.occupied == 0)
    peer.answer = echo
    while not log.ok:  # a busy machine may need more than the time that this channel gives
        log.send(1)
        until(lambda: not hasty.in_flight)


def test_the_loads_deadline_is_not_one_of_control_calls(peer: Peer, hasty: Channel) -> None:
    peer.answer = later(0.15)
    assert hasty.call(PATH, b"slow by nature") == b"slow by nature"


def test_what_waits_for_a_connection_has_its_deadline_too(peer: Peer) -> None:
    def connect(host: str, port: int, timeout_s: float) -> TcpStream:
        if peer.links:
            gevent.sleep(60)  # as a host that drops our packets
        return TcpStream.connect(host, port, timeout_s)

    channel = Channel(peer.url, timeout_ns=50 * NS_PER_MS, connect=connect)
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(peer.requests) == 2)
    peer.link.goaway(last=1)
    until(lambda: not channel.connected)
    log.send(1)
    until(lambda: len(log.failures) == 3)
    held = {(status, bool(sent_ns)) for (_, sent_ns, _), status, _ in log.failures}
    assert held == {(int(Status.DEADLINE_EXCEEDED), True), (UNAVAILABLE, False)}
    assert not channel.in_flight
    channel.close(0)


def test_a_call_has_a_time_limit_of_its_own(peer: Peer, channel: Channel) -> None:
    peer.answer = silent
    channel.connect()  # the limit is the call's: a busy machine may take as long to connect
    with pytest.raises(RpcError, match="within 20 ms") as caught:
        channel.call(PATH, b"", timeout_ns=20 * NS_PER_MS)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    until(lambda: len(peer.requests) == 1)
    heads = dict(peer.link.heads[1])
    assert heads[b"grpc-timeout"] == b"20000000n"
    assert peer.resets == 0


# The end


def test_a_drain_waits_and_then_gives_up(peer: Peer, channel: Channel) -> None:
    peer.answer = later(0.05)
    channel.connect()
    log = ChannelLog(channel)
    log.send(3)
    assert channel.drain(now_ns() + 10 * NS_PER_S)
    assert len(log.ok) == 3
    peer.answer = silent
    log.send(2)
    assert not channel.drain(now_ns() + 20 * NS_PER_MS)
    assert channel.give_up() == 2
    assert [status for _, status, _ in log.failures] == [NO_ANSWER] * 2
    assert (channel.in_flight, channel.occupied) == (0, 2)
    assert peer.resets == 0


def test_renewed_connections_leave_old_streams_behind(peer: Peer, channel: Channel) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(peer.requests) == 2)
    channel.give_up()
    channel.renew()
    channel.connect()
    assert (channel.in_flight, channel.occupied) == (0, 0)
    assert len(peer.links) == 2
    assert peer.links[0].open, "closing on open streams can crash the server"
    peer.links[0].respond(1, b"")
    peer.links[0].respond(3, b"")
    until(lambda: not peer.links[0].open)
    assert channel.connections_lost == 0


def test_renew_of_a_dead_server_does_not_hang(peer: Peer, channel: Channel) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(1)
    channel.give_up()
    peer.refuse()
    channel.renew()
    with pytest.raises(RpcError, match="refused"):
        channel.connect(600 * NS_PER_MS)


def test_close_drains_first_and_for_a_bounded_time(peer: Peer, channel: Channel) -> None:
    peer.answer = later(0.1)
    channel.connect()
    log = ChannelLog(channel)
    log.send(3)
    channel.close()
    assert len(log.ok) == 3
    assert not channel.ready


def test_close_waits_for_streams_that_were_given_up(peer: Peer, channel: Channel) -> None:
    peer.answer = later(0.1)
    channel.connect()
    log = ChannelLog(channel)
    log.send(1)
    channel.give_up()
    channel.close()
    until(lambda: not peer.link.open)
    assert len(peer.link.done) == 1
    assert peer.link.h2.open_inbound_streams == 0, "answered before we hung up"


def test_a_frozen_server_does_not_hold_up_the_end(peer: Peer, channel: Channel) -> None:
    channel.connect()
    peer.link.freeze()
    log = ChannelLog(channel)
    log.send(5, message=bytes(4_000_000))  # more than the sockets take: partly written
    started = now_ns()
    channel.close(200 * NS_PER_MS)
    assert now_ns() - started < 10 * NS_PER_S
    assert len(log.failures) == 5


def test_a_half_open_freeze_and_a_thaw(peer: Peer, channel: Channel) -> None:
    channel.connect()
    log = ChannelLog(channel)
    peer.link.freeze()
    log.send(3, message=bytes(3_000_000))
    gevent.sleep(0.1)
    assert channel.in_flight == 3
    peer.link.thaw()
    until(lambda: len(log.ok) == 3)
