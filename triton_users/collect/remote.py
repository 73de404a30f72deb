"""The run's end of a connection to an agent on another host: found again when it is lost, with backoff."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from triton_users.clock import now_ns
from triton_users.collect.lines import LineError, Lines, address_of
from triton_users.collect.sampler import Emit
from triton_users.collect.sensor import DETAIL, NOTE, SAMPLE, Note, Sample
from triton_users.collect.serving import PROTOCOL
from triton_users.collect.token import proof
from triton_users.timesync import ClockSync
from triton_users.units import NS_PER_S

PATIENCE_S = 5.0
"""For an answer, and between two samples, of which there is one each second."""
FIRST_ECHOES = 8
BACKOFF_FIRST_S, BACKOFF_MOST_S = 0.5, 10.0
SOURCE = "agent"


class RefusedError(Exception):
    """The agent does not accept us. The message says why."""


class Remote:
    """Emits what the agent at ``address`` (HOST:PORT) sends, on the axis that begins at ``zero_ns``.

    ``name`` gives the label of a host from the agent's own name and ``address``.
    """

    def __init__(
        self, address: str, token: str, emit: Emit, zero_ns: int, name: Callable[[str, str], str]
    ) -> None:
        self._address, self._token, self._emit, self._zero_ns = address, token, emit, zero_ns
        self._name = name
        self._host = address
        self._stop = threading.Event()
        self._said: tuple[str, str] | None = None
        self._thread = threading.Thread(target=self._run, name=f"agent {address}", daemon=True)

    def start(self) -> None:
        """Connect, and go on until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Emit nothing more, and wait until it has ended."""
        self._stop.set()
        self._thread.join(2 * PATIENCE_S)

    def _run(self) -> None:
        pause = BACKOFF_FIRST_S
        while not self._stop.is_set():
            began = now_ns()
            try:
                self._visit()
            except (OSError, EOFError, LineError, RefusedError) as error:
                self._tell("failed", f"{self._address}: {_sentence(error)}")
            if now_ns() - began > BACKOFF_MOST_S * NS_PER_S:  # it was good for a while
                pause = BACKOFF_FIRST_S
            self._stop.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, BACKOFF_MOST_S)

    def _visit(self) -> None:
        with socket.create_connection(address_of(self._address), PATIENCE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lines = Lines(sock)
            self._greet(lines)
            clock = ClockSync()
            for _ in range(FIRST_ECHOES):
                lines.send({"echo": now_ns()})
                clock.add(*_echo(lines.receive(), now_ns()))
            lines.send({"start": True})
            self._tell("back" if self._said and self._said[0] == "failed" else "here")
            self._listen(lines, clock)

    def _greet(self, lines: Lines) -> None:
        greeting = lines.receive()
        if greeting.get("agent") != PROTOCOL or not isinstance(greeting.get("challenge"), str):
            raise LineError("what answers there is no agent of this version")
        lines.send({"proof": proof(self._token, greeting["challenge"])})
        answer = lines.receive()
        if "welcome" not in answer:
            raise RefusedError(str(answer.get("refused", "the agent refuses")))
        self._host = self._name(str(greeting.get("host") or self._address), self._address)

    def _listen(self, lines: Lines, clock: ClockSync) -> None:
        asked = 0
        while not self._stop.is_set():
            line = lines.receive()
            heard = now_ns()
            if "echo" in line:
                clock.add(*_echo(line, heard))
            else:
                self._pass_on(line, clock)
            if heard - asked >= NS_PER_S:
                asked = heard
                self._tell_uncertainty(clock, heard)
                lines.send({"echo": now_ns()})

    def _pass_on(self, line: Mapping[str, Any], clock: ClockSync) -> None:
        try:
            if line["kind"] == NOTE:
                self._emit([Note(str(line["source"]), self._host, str(line["state"]), str(line["text"]))])
            elif line["kind"] in (SAMPLE, DETAIL):
                self._emit([self._sample(line, int(line["at_ns"]) - clock.offset_ns - self._zero_ns)])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LineError(f"a line of the agent is not what it should be ({error})") from error

    def _sample(self, line: Mapping[str, Any], at_ns: int) -> Sample:
        return Sample(
            source=str(line["source"]),
            host=self._host,
            at_ns=at_ns,
            labels={str(name): str(text) for name, text in line["labels"].items()},
            values={str(name): float(value) for name, value in line["values"].items()},
            detail=line["kind"] == DETAIL,
        )

    def _tell_uncertainty(self, clock: ClockSync, now: int) -> None:
        assert clock.uncertainty_ns is not None
        values = {"clock_uncertainty_ns": float(clock.uncertainty_ns)}
        self._emit([Sample(SOURCE, self._host, now - self._zero_ns, {}, values)])

    def _tell(self, state: str, text: str = "") -> None:
        """Once for each state and reason."""
        if (state, text) != self._said and not self._stop.is_set():
            self._said = (state, text)
            self._emit([Note(SOURCE, self._host, state, text)])


def _echo(line: Mapping[str, Any], heard_ns: int) -> tuple[int, int, int]:
    try:
        return int(line["echo"]), int(line["at"]), heard_ns
    except (KeyError, TypeError, ValueError) as error:
        raise LineError("the agent does not answer with its clock") from error


def _sentence(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return getattr(error, "strerror", None) or str(error)
