"""Against grpcio's own server: what every gRPC server does, as it does it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.fakes.channel_log import ChannelLog, until
from triton_users.net import Channel, RpcError
from triton_users.units import NS_PER_MS

pytestmark = pytest.mark.usefixtures("bounded")

ROOT = Path(__file__).parents[2]
PATH = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.grpc_echo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"GRPC_VERBOSITY": "NONE"},
    )
    assert process.stdout is not None
    yield process, f"127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def channel(server: tuple[subprocess.Popen[str], str]) -> Iterator[Channel]:
    made = Channel(server[1])
    made.connect()
    yield made
    made.close(0)


@pytest.mark.parametrize("size", [0, 1, 100, 16_384, 5_000_000])
def test_bytes_come_back(channel: Channel, size: int) -> None:
    message = os.urandom(size)
    message = b"x" + message[1:] if message else message
    assert channel.call(PATH, message) == message


def test_errors_with_status_and_text_of_any_characters(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        channel.call(PATH, "Eno % such «model»\n".encode())
    assert (caught.value.status, caught.value.message) == ("INVALID_ARGUMENT", "no % such «model»\n")
    with pytest.raises(RpcError) as caught:
        channel.call("/some.Service/Missing", b"")
    assert caught.value.status == "UNIMPLEMENTED"


def test_a_deadline_that_the_server_sees(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        channel.call(PATH, b"S", timeout_ns=50 * NS_PER_MS)
    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert channel.call(PATH, b"after") == b"after"


def test_a_thousand_in_flight(channel: Channel) -> None:
    log = ChannelLog(channel, slots=1000)
    log.room(0)
    until(lambda: len(log.ok) > 5000, 20)
    log.slots = 0
    until(lambda: not channel.in_flight, 10)
    assert len(log.ok) == log.sent
    assert not log.failures


def test_a_graceful_stop_lets_what_is_in_flight_finish(
    server: tuple[subprocess.Popen[str], str], channel: Channel
) -> None:
    process, _ = server
    log = ChannelLog(channel)
    log.send(5, message=b"S")
    gevent.sleep(0.4)  # of the second that the answers take
    process.terminate()
    until(lambda: len(log.ok) + len(log.failures) == 5)
    assert len(log.ok) == 5
    until(lambda: process.poll() == 0)
    assert channel.connections_lost == 0


def test_a_killed_server_fails_what_is_in_flight(
    server: tuple[subprocess.Popen[str], str], channel: Channel
) -> None:
    process, _ = server
    log = ChannelLog(channel)
    log.send(5, message=b"S")
    gevent.sleep(0.1)
    process.kill()
    until(lambda: len(log.failures) == 5)
    assert channel.connections_lost == 1
    until(lambda: not channel.ready)
