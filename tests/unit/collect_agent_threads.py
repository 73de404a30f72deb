"""Cases with threads and sockets, for test_collect_agent.py, which runs them in a process of its own, as the
agent runs: in pytest's own process Locust has made greenlets of threads, and those miss wake-ups."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from triton_users.clock import now_ns
from triton_users.collect import serving
from triton_users.collect.child import Names
from triton_users.collect.lines import Lines
from triton_users.collect.remote import Remote
from triton_users.collect.sampler import Sampler, Scheduled
from triton_users.collect.sensor import Absent, Failed, Note, Reading, Sample
from triton_users.collect.sensors import SERVER_RETRY_MOST, TritonAt, triton_sensors
from triton_users.collect.serving import LARGEST_QUESTION, Agent

MS = 1_000_000
S = 1_000 * MS
LIMIT_S = 20.0


class Made:
    """A sensor that does what it is told: ``script`` has a function for each call of ``sample``."""

    def __init__(self, source: str, *script: Callable[[], None], absent: str = "", fault: str = "") -> None:
        self.source, self.absent, self.fault = source, absent, fault
        self.script = list(script)
        self.opened = self.closed = self.sampled = 0

    def open(self) -> None:
        self.opened += 1
        if self.absent:
            raise Absent(self.absent)

    def sample(self, now_ns: int) -> Iterable[Reading]:
        self.sampled += 1
        if self.script:
            self.script.pop(0)()
        lost = [Reading({"gpu": "0"}, {}, fault=self.fault)] if self.fault else []
        return [Reading({}, {"users": float(self.sampled)}), *lost]

    def close(self) -> None:
        self.closed += 1


class Heard:
    """What was emitted, by source."""

    def __init__(self) -> None:
        self.all: list[Sample | Note] = []

    def __call__(self, found: Iterable[Sample | Note]) -> None:
        self.all += found

    def notes(self, source: str) -> list[tuple[str, str]]:
        return [(n.state, n.text) for n in self.all if isinstance(n, Note) and n.source == source]

    def samples(self, source: str) -> list[Sample]:
        return [s for s in self.all if isinstance(s, Sample) and s.source == source]


def until(true: Callable[[], Any], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def fail(error: Exception) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def hold(release: threading.Event) -> None:
    release.wait(LIMIT_S)


# The sampler


def test_each_sensor_fails_alone_with_one_line_and_comes_back() -> None:
    release = threading.Event()
    sensors = {
        "good": Made("good"),
        "failing": Made(
            "failing", lambda: None, fail(Failed("no answer: do this")), fail(Failed("no answer: do this"))
        ),
        "broken": Made("broken", fail(ZeroDivisionError("ours"))),
        "unreadable": Made("unreadable", fail(OSError(5, "Input/output error", "/sys/x"))),
        "absent": Made("absent", absent="no such thing"),
        "hanging": Made("hanging", lambda: hold(release)),
    }
    heard = Heard()
    sampler = Sampler("box", [Scheduled(one, 10 * MS) for one in sensors.values()], heard, zero_ns=now_ns())
    sampler.start()
    until(lambda: len(heard.samples("good")) > 10 and len(heard.notes("failing")) > 2)
    until(lambda: heard.samples("broken") and heard.samples("unreadable"))
    assert not heard.samples("hanging")
    release.set()
    until(lambda: heard.samples("hanging"))
    sampler.stop()
    assert heard.notes("good") == [("here", "")]
    assert heard.notes("failing") == [("here", ""), ("failed", "no answer: do this"), ("back", "")]
    assert heard.notes("broken")[0] == ("failed", "ZeroDivisionError: ours")
    assert heard.notes("unreadable")[0] == ("failed", "Input/output error: /sys/x")
    assert heard.notes("absent") == [("absent", "no such thing")]
    assert not heard.samples("absent")
    assert sensors["absent"].opened == 1
    assert all(one.closed >= 1 for one in sensors.values())
    count = len(heard.all)
    time.sleep(0.05)
    assert len(heard.all) == count


def test_a_server_that_is_away_is_looked_for_more_often_than_a_sensor() -> None:
    both = triton_sensors(TritonAt("h:8001", metrics_url="http://h:8002/metrics"))
    assert [one.retry_most for one in both] == [SERVER_RETRY_MOST] * 2
    away = [fail(Failed("no answer"))] * 100
    server, other = Made("server", *away), Made("other", *away)
    scheduled = [Scheduled(server, 10 * MS, SERVER_RETRY_MOST), Scheduled(other, 10 * MS)]
    sampler = Sampler("box", scheduled, Heard(), zero_ns=now_ns())
    sampler.start()
    until(lambda: server.opened > 20)
    sampler.stop()
    assert other.opened < 12  # in the 90 intervals of the server's pauses: 1, 2, 4, 8, 16, 30, 30


def test_a_part_that_fails_is_told_once_and_the_others_go_on() -> None:
    heard, sensor = Heard(), Made("made", fault="GPU 0: lost")
    sampler = Sampler("box", [Scheduled(sensor, 10 * MS)], heard, zero_ns=now_ns())
    sampler.start()
    until(lambda: len(heard.samples("made")) > 5)
    sampler.stop()
    assert sensor.opened == 1
    assert heard.notes("made") == [("failed", "GPU 0: lost"), ("here", "")]
    assert all(sample.values for sample in heard.samples("made"))


def test_samples_stand_at_whole_intervals_of_the_axis() -> None:
    heard, sensor = Heard(), Made("made")
    zero = now_ns() - 123 * MS
    sampler = Sampler("box", [Scheduled(sensor, 50 * MS)], heard, zero_ns=zero)
    sampler.start()
    until(lambda: len(heard.samples("made")) > 5)
    sampler.stop()
    times = [sample.at_ns for sample in heard.samples("made")]
    assert times[0] >= 123 * MS
    past = [at % (50 * MS) for at in times[1:]]
    assert sorted(past)[len(past) // 2] < 25 * MS  # the median: a busy machine may be late now and then


# Other hosts


@pytest.fixture
def agent() -> Iterator[tuple[Agent, list[str]]]:
    told: list[str] = []
    made = Agent(("127.0.0.1", 0), "secret", "far", lambda: [Scheduled(Made("made"), 50 * MS)], told.append)
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made, told
    made.close()
    thread.join(LIMIT_S)
    until(lambda: not made._visitors)
    assert not thread.is_alive()


def address(agent: Agent) -> str:
    return "{}:{}".format(*agent.address)


def test_samples_of_another_host_stand_on_the_run_s_axis(agent: tuple[Agent, list[str]]) -> None:
    heard, zero = Heard(), now_ns() - 7 * S
    remote = Remote(address(agent[0]), "secret", heard, zero, lambda name, _: f"{name}!")
    remote.start()
    until(lambda: len(heard.samples("made")) > 3 and heard.samples("agent"))
    before = now_ns() - zero
    remote.stop()
    assert heard.notes("agent") == [("here", "")]
    assert heard.notes("made") == [("here", "")]
    times = [sample.at_ns for sample in heard.samples("made")]
    uncertain = heard.samples("agent")[0].values["clock_uncertainty_ns"]
    assert 0 < uncertain < S
    assert 7 * S - uncertain < times[0] <= times[-1] < before + 5 * S
    assert {sample.host for sample in heard.samples("made")} == {"far!"}


def test_a_wrong_token_is_refused_and_never_told(agent: tuple[Agent, list[str]]) -> None:
    heard = Heard()
    remote = Remote(address(agent[0]), "wrong-token", heard, 0, Names("here"))
    remote.start()
    until(lambda: heard.notes("agent"))
    remote.stop()
    assert heard.notes("agent")[0] == ("failed", f"{address(agent[0])}: the agent has another token")
    assert not heard.samples("made")
    until(lambda: agent[1])
    assert "secret" not in str(agent[1]) and "wrong-token" not in str(agent[1])


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"x" * (LARGEST_QUESTION + 70_000), b'{"proof":[]}\n']
)
def test_an_agent_tells_strangers_nothing_and_goes_on(agent: tuple[Agent, list[str]], said: bytes) -> None:
    with socket.create_connection(agent[0].address, LIMIT_S) as stranger:
        lines = Lines(stranger)
        assert lines.receive().keys() == {"agent", "host", "challenge"}
        with pytest.raises((EOFError, OSError)):  # the agent may have hung up already
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            while True:
                assert lines.receive().keys() == {"refused"}
    heard = Heard()
    remote = Remote(address(agent[0]), "secret", heard, 0, Names("here"))
    remote.start()
    until(lambda: heard.samples("made"))
    remote.stop()


class NoFileLeft:
    """A listening socket that takes no connection the first times it is asked."""

    def __init__(self, real: socket.socket, times: int) -> None:
        self._real, self._times = real, times

    def accept(self) -> Any:
        self._times -= 1
        if self._times >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_an_agent_that_cannot_take_a_connection_says_so_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "RETRY_S", 0.01)
    told: list[str] = []
    made = Agent(("127.0.0.1", 0), "secret", "far", lambda: [Scheduled(Made("made"), 50 * MS)], told.append)
    monkeypatch.setattr(made, "_socket", NoFileLeft(made._socket, 3))
    thread = threading.Thread(target=made.serve)
    thread.start()
    heard = Heard()
    remote = Remote(address(made), "secret", heard, 0, Names("here"))
    remote.start()
    until(lambda: heard.samples("made"))
    remote.stop()
    made.close()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    assert told[0] == "cannot take a connection: Too many open files; trying again"
    assert len([text for text in told if "cannot take" in text]) == 1


def test_a_lost_agent_is_found_again() -> None:
    heard = Heard()
    first = Agent(
        ("127.0.0.1", 0), "secret", "far", lambda: [Scheduled(Made("made"), 50 * MS)], lambda text: None
    )
    where = first.address
    threading.Thread(target=first.serve, daemon=True).start()
    remote = Remote(address(first), "secret", heard, 0, Names("here"))
    remote.start()
    until(lambda: heard.samples("made"))
    first.close()
    until(lambda: any(state == "failed" for state, _ in heard.notes("agent")))
    second = Agent(where, "secret", "far", lambda: [Scheduled(Made("again"), 50 * MS)], lambda text: None)
    threading.Thread(target=second.serve, daemon=True).start()
    until(lambda: heard.samples("again"))
    remote.stop()
    second.close()
    assert heard.notes("agent")[-1] == ("back", "")
