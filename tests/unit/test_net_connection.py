"""One connection against a server of h2: what it sends is legal, and what ends is booked once."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
import pytest

from tests.fakes.channel_log import ChannelLog, item, until
from tests.fakes.peer import Link, Peer, silent
from tests.unit.wire_server import GRPC_HEADERS, OK_TRAILERS, answer, block, frame, headers, prefixed
from triton_users.clock import now_ns
from triton_users.net import Call, Channel, RpcError
from triton_users.net.errors import ConnectionLost
from triton_users.net.stream import Buffer, TcpStream
from triton_users.wire import Head, Status, encode, frames

PATH = "/test.Service/Echo"
INITIAL_WINDOW, MAX_FRAME, MAX_STREAMS = 4, 5, 3


def test_a_call_and_its_answer(channel: Channel, peer: Peer) -> None:
    assert channel.call(PATH, b"hello") == b"hello"
    assert channel.in_flight == channel.occupied == 0


@pytest.mark.parametrize("size", [0, 1, 16_384, 100_000, 3_000_000])
def test_any_size_both_ways(channel: Channel, size: int) -> None:
    message = bytes(i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    assert channel.call(PATH, message) == message


def test_tiny_windows_and_frames(channel: Channel, peer: Peer) -> None:
    peer.settings = {INITIAL_WINDOW: 7}
    assert channel.call(PATH, b"y" * 500) == b"y" * 500
    known = peer.link.acknowledged()
    peer.link.settings(INITIAL_WINDOW_SIZE=100_000, MAX_FRAME_SIZE=20_000)
    until(lambda: peer.link.acknowledged() > known)  # h2 checks frames that come with it by the old size
    assert channel.call(PATH, b"z" * 300_000) == b"z" * 300_000
    peer.link.settings(INITIAL_WINDOW_SIZE=1)
    assert channel.call(PATH, b"w" * 100) == b"w" * 100


def test_one_stream_at_a_time_when_the_server_wants_it_so(channel: Channel, peer: Peer) -> None:
    peer.settings = {MAX_STREAMS: 1}
    channel.connect()
    log = ChannelLog(channel)
    log.send(20)
    until(lambda: len(log.ok) == 20)
    assert peer.link.broken is None


def test_a_slow_reader_gets_all_of_it(channel: Channel, peer: Peer) -> None:
    channel.connect()
    peer.link.slow_bytes = 1 << 17
    message = b"s" * 8_000_000  # more than the socket's buffers
    assert channel.call(PATH, message) == message


def test_pings_are_answered_and_settings_acknowledged(channel: Channel, peer: Peer) -> None:
    channel.connect()
    peer.link.ping()
    until(lambda: any(type(e).__name__ == "PingAckReceived" for e in peer.link.events))
    peer.link.settings(MAX_FRAME_SIZE=1 << 15)
    until(lambda: any(type(e).__name__ == "SettingsAcknowledged" for e in peer.link.events))
    assert channel.call(PATH, b"after") == b"after"


class Counted(TcpStream):
    """Counts its system calls."""

    sends = 0

    def send(self, buffers: Sequence[Buffer]) -> int:
        self.sends += 1
        return super().send(buffers)


def test_what_resumed_callers_send_leaves_together(peer: Peer) -> None:
    streams: list[Counted] = []

    def connect(host: str, port: int, timeout_s: float) -> Counted:
        streams.append(Counted.connect(host, port, timeout_s))
        return streams[-1]

    def call_twice() -> None:
        for _ in range(2):
            call = Call()
            channel.send_call(item(), call, now_ns())
            call.wait()

    peer.answer = silent
    channel = Channel(peer.url, connect=connect)
    channel.connect()
    callers = [gevent.spawn(call_twice) for _ in range(4)]
    until(lambda: len(peer.requests) == 4)
    [stream] = streams
    before = stream.sends
    peer.link.raw(b"".join(answer(stream_id, b"x") for _, stream_id, _ in peer.requests))
    until(lambda: len(peer.requests) == 8)
    assert stream.sends == before + 1
    gevent.killall(callers)
    channel.close(0)


class Reluctant(TcpStream):
    """Takes a few bytes at a time, and now and then none."""

    at_most = 1 << 20
    calls = 0

    def send(self, buffers: Sequence[Buffer]) -> int:
        self.calls += 1
        return 0 if self.calls % 3 == 0 else super().send([memoryview(buffers[0])[: self.at_most]])


def test_single_requests_that_the_socket_takes_in_parts(peer: Peer) -> None:
    streams: list[Reluctant] = []

    def connect(host: str, port: int, timeout_s: float) -> Reluctant:
        streams.append(Reluctant.connect(host, port, timeout_s))
        return streams[-1]

    channel = Channel(peer.url, connect=connect)
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(log.ok) == 2)
    streams[0].at_most = 7
    for _ in range(10):
        log.send_one()
    until(lambda: len(log.ok) == 12)
    assert peer.link.broken is None
    channel.close()


def test_a_single_request_on_a_socket_that_broke(peer: Peer) -> None:
    """The request fails with its connection, once, and the next one is not sent on it."""

    class Broken(TcpStream):
        broken = False

        def send(self, buffers: Sequence[Buffer]) -> int:
            if Broken.broken:
                raise ConnectionLost("broken for the test")
            return super().send(buffers)

    channel = Channel(peer.url, connect=Broken.connect)
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(log.ok) == 2)
    Broken.broken = True
    log.send_one()
    log.send_one()
    peer.link.close()
    until(lambda: len(log.failures) + log.refused == 2)
    assert (len(log.failures), channel.in_flight) == (1, 0)
    channel.close()


def test_a_reading_that_only_looks_like_familiar_responses(channel: Channel, peer: Peer) -> None:
    """By its size it is two, or three, of them: one is a failure, one is longer and the last not whole."""
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    for known in (1, 3, 5):
        log.send()
        until(lambda known=known: any(stream_id == known for _, stream_id, _ in peer.requests))
        peer.link.raw(answer(known, b"x"))
        until(lambda known=known: len(log.ok) == (known + 1) // 2)
    log.send(5)
    until(lambda: len(peer.requests) == 8)
    last = answer(11, b"x")
    peer.link.raw(answer(7, b"x") + answer(9, b"x" * 31) + last[:-30])
    until(lambda: len(log.ok) == 5)
    peer.link.raw(last[-30:])
    until(lambda: len(log.ok) == 6)
    failure = answer(15, b"x").replace(block(OK_TRAILERS), block([("grpc-status", "5")]))
    assert len(failure) == len(last)
    peer.link.raw(answer(13, b"x") + failure)
    until(lambda: len(log.ok) == 7 and bool(log.failures))
    assert [status for _, status, _ in log.failures] == [int(Status.NOT_FOUND)]
    assert channel.connections_lost == channel.in_flight == 0


def padded_and_continued(link: Link, stream_id: int, message: bytes) -> None:
    raw = block(GRPC_HEADERS)
    data = bytes([9]) + prefixed(message) + bytes(9)
    link.raw(
        frame(frames.HEADERS, 0, stream_id, raw[:3])
        + frame(frames.CONTINUATION, 0, stream_id, raw[3:5])
        + frame(frames.CONTINUATION, frames.END_HEADERS, stream_id, raw[5:])
        + frame(frames.DATA, frames.PADDED, stream_id, data)
        + headers(stream_id, OK_TRAILERS, end=True)
    )


def test_padding_and_continuation(channel: Channel, peer: Peer) -> None:
    peer.answer = padded_and_continued
    assert channel.call(PATH, b"padded") == b"padded"


def byte_by_byte(link: Link, stream_id: int, message: bytes) -> None:
    def drip() -> None:
        for byte in answer(stream_id, message):
            link.raw(bytes([byte]))
            gevent.sleep(0)

    gevent.spawn(drip)


def test_an_answer_in_single_bytes(channel: Channel, peer: Peer) -> None:
    peer.answer = byte_by_byte
    assert channel.call(PATH, b"slowly") == b"slowly"


def test_a_large_answer_that_nobody_wants_is_discarded(channel: Channel, peer: Peer) -> None:
    """The kernel drops it (MSG_TRUNC); the stream of frames stays in step over many of them."""
    peer.answer = lambda link, stream_id, message: link.respond(stream_id, bytes(2_000_000))
    channel.connect()
    log = ChannelLog(channel)
    for _ in range(5):
        log.send(2)
        until(lambda: not channel.in_flight)
    assert len(log.ok) == 10
    peer.answer = lambda link, stream_id, message: link.respond(stream_id, message)
    assert channel.call(PATH, b"in step") == b"in step"


def test_errors_reach_the_caller_with_status_and_text(channel: Channel, peer: Peer) -> None:
    peer.answer = lambda link, stream_id, message: link.fail(stream_id, 5, "no such model")
    with pytest.raises(RpcError, match="no such model") as caught:
        channel.call(PATH, b"")
    assert caught.value.status == "NOT_FOUND"


def test_a_reset_fails_its_stream_alone(channel: Channel, peer: Peer) -> None:
    peer.answer = lambda link, stream_id, message: link.reset(stream_id, 8)
    with pytest.raises(RpcError, match="CANCEL"):
        channel.call(PATH, b"")
    peer.answer = lambda link, stream_id, message: link.respond(stream_id, message)
    assert channel.call(PATH, b"next") == b"next"
    assert len(peer.links) == 1


def test_what_ended_before_a_fault_counts(channel: Channel, peer: Peer) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(3)
    until(lambda: len(peer.requests) == 3)
    bad = frame(frames.DATA, 0, 2, b"even streams are the server's")
    peer.link.raw(answer(1) + answer(3) + bad)
    until(lambda: len(log.ok) + len(log.failures) == 3)
    assert len(log.ok) == 2
    assert "broke the protocol" in log.failures[0][2]
    assert channel.connections_lost == 1


def test_what_was_answered_before_a_broken_pipe_counts(channel: Channel, peer: Peer) -> None:
    """The write fails first; the answers lie in the socket still."""
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(2)
    until(lambda: len(peer.requests) == 2)
    link = peer.link
    link.open = False
    link._reader.kill()
    link._sock.sendall(answer(1) + answer(3))
    link._sock.close()
    # Nothing of the hub runs between these: the first write brings the peer's RST, the second EPIPE.
    for _ in range(3):
        log.send(1)
    until(lambda: len(log.ok) + len(log.failures) == log.sent)
    assert len(log.ok) == 2
    assert {status for _, status, _ in log.failures} == {14}


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_server_that_hangs_up_fails_what_is_in_flight(channel: Channel, peer: Peer, how: str) -> None:
    peer.answer = silent
    channel.connect()
    log = ChannelLog(channel)
    log.send(4)
    until(lambda: len(peer.requests) == 4)
    getattr(peer.link, how)()
    until(lambda: len(log.failures) == 4)
    assert not channel.in_flight
    until(lambda: channel.connected)  # it comes back by itself
    assert channel.connections_lost == 1


def test_an_exception_in_a_listener_is_reported_and_goes_no_further(
    channel: Channel, peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    channel.connect()
    log = ChannelLog(channel)
    log.raises = ValueError("of the listener")
    log.send(3)
    until(lambda: not channel.in_flight)
    log.raises = None
    log.send(2)
    until(lambda: len(log.ok) == 5)
    assert "of the listener" in capsys.readouterr().err
    assert len(peer.links) == 1


def test_what_cannot_be_said_loses_nothing(
    channel: Channel, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a pipe whose reader has gone: all of a batch is still booked."""

    def closed(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(type(gevent.get_hub()), "handle_error", closed)
    channel.connect()
    log = ChannelLog(channel)
    ended = []

    class Faulty(Call):
        def finish(self, status: int, data: bytes, now_ns: int) -> None:
            ended.append(status)
            raise ValueError

    for _ in range(3):
        channel.send_call(encode(Head(PATH.encode()), b"", want_message=True), Faulty(), now_ns())
    until(lambda: len(ended) == 3)
    assert not channel.in_flight
    log.send(2)
    until(lambda: len(log.ok) == 2)


@pytest.mark.parametrize("how", ["kill", "timeout"])
def test_a_caller_that_is_gone_leaves_the_channel_usable(channel: Channel, peer: Peer, how: str) -> None:
    peer.answer = silent
    channel.connect()
    if how == "kill":
        caller = gevent.spawn(channel.call, PATH, b"unheard")
        until(lambda: len(peer.requests) == 1)
        caller.kill()
    else:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            channel.call(PATH, b"unheard")
    assert channel.in_flight == 0
    assert channel.occupied == 1  # the stream is open at the server until it ends it
    until(lambda: len(peer.requests) == 1)
    peer.link.respond(1, b"too late")
    until(lambda: channel.occupied == 0)
    peer.answer = lambda link, stream_id, message: link.respond(stream_id, message)
    assert channel.call(PATH, b"next") == b"next"
    assert peer.resets == 0
