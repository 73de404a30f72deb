"""The agent on another host: whoever proves to have the token gets samples, as long as the connection lasts.

It says {"agent", "host", "challenge"}; the run answers {"proof"}; "echo" is answered at once with the agent's
clock, and "start" starts the sensors. Samples carry the agent's clock: the run knows the offset.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

from triton_users.clock import now_ns
from triton_users.collect.lines import LineError, Lines
from triton_users.collect.outbox import Outbox
from triton_users.collect.sampler import Sampler, Scheduled
from triton_users.collect.token import challenge, proves

PROTOCOL = 1
PATIENCE_S = 5.0
"""For the proof, and for somebody who does not take what we send."""
SILENCE_S = 30.0
"""A run that has not asked for an echo for so long is gone."""
RETRY_S = 1.0
"""After a connection that could not be taken."""
MOST_VISITORS = 8
LARGEST_QUESTION = 4_096

Tell = Callable[[str], None]


class Agent:
    """Listens at ``address`` from the start on; ``sensors`` makes a set of them for each visitor."""

    def __init__(
        self,
        address: tuple[str, int],
        token: str,
        host: str,
        sensors: Callable[[], Sequence[Scheduled]],
        tell: Tell,
    ) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(address, family=family)
        self._token, self._host, self._sensors, self._tell = token, host, sensors, tell
        self._visitors: set[socket.socket] = set()
        self._closed = threading.Event()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def serve(self) -> None:
        """Until ``close``."""
        told = None
        while True:
            try:
                sock, address = self._socket.accept()
            except OSError as error:
                if self._closed.is_set():
                    return
                if error.errno != told:
                    self._tell(f"cannot take a connection: {error.strerror}; trying again")
                told = error.errno
                self._closed.wait(RETRY_S)
                continue
            told = None
            if len(self._visitors) >= MOST_VISITORS:
                sock.close()
                continue
            self._visitors.add(sock)
            threading.Thread(target=self._visit, args=(sock, address[0]), daemon=True).start()

    def close(self) -> None:
        """Listen no more, and end what goes on."""
        self._closed.set()
        for sock in (self._socket, *self._visitors):
            with contextlib.suppress(OSError):  # it wakes up whoever waits on it
                sock.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _visit(self, sock: socket.socket, who: str) -> None:
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(PATIENCE_S)
                if self._admits(Lines(sock, LARGEST_QUESTION), who):
                    self._tell(f"{who} is connected")
                    _Visit(sock, self._host, self._sensors()).run()
                    self._tell(f"{who} has gone")
        except (OSError, EOFError, LineError) as error:
            self._tell(f"{who}: {error}")
        finally:
            self._visitors.discard(sock)

    def _admits(self, lines: Lines, who: str) -> bool:
        challenged = challenge()
        lines.send({"agent": PROTOCOL, "host": self._host, "challenge": challenged})
        if proves(self._token, challenged, lines.receive().get("proof")):
            lines.send({"welcome": True})
            return True
        self._tell(f"{who} has another token: refused")
        lines.send({"refused": "the agent has another token"})
        return False


class _Visit:
    """A conversation with somebody who may have samples."""

    def __init__(self, sock: socket.socket, host: str, sensors: Sequence[Scheduled]) -> None:
        self._sock, self._lines = sock, Lines(sock, LARGEST_QUESTION)
        self._sending = threading.Lock()
        self._outbox = Outbox()
        self._sampler = Sampler(host, sensors, self._outbox.put)
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._started = False

    def run(self) -> None:
        self._sender.start()
        self._sock.settimeout(SILENCE_S)
        try:
            while True:
                question = self._lines.receive()
                if "echo" in question:
                    with self._sending:
                        self._lines.send({"echo": question["echo"], "at": now_ns()})
                elif "start" in question and not self._started:
                    self._started = True
                    self._sampler.start()
        except EOFError:
            return
        finally:
            self._sampler.stop(0)
            self._outbox.close()

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # the reader hears of it too
            while lines := self._outbox.take():
                with self._sending:
                    self._sock.sendall(lines)
            return
        self._sampler.stop(0)
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
