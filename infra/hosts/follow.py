"""All hosts at once: connect, start, follow, stop."""

from __future__ import annotations

import selectors
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.hosts import remote
from infra.hosts.link import Link, State

ANSWER_S = 30
"""A host that has not said what it has by then is given up: a key exchange or a login script hangs."""

BEAT_S = 5
LOOK_S = 0.2


class Follower:
    """Drives the links. ``asked`` is the signal that asked for the end."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self.asked: int | None = None
        self._impatient = False
        self._selector = selectors.DefaultSelector()
        self._beat = time.monotonic()
        for link in links:
            for which, pipe in link.pipes.items():
                self._selector.register(pipe, selectors.EVENT_READ, (link, which))

    def listen_to_signals(self) -> None:
        """The first asks for an orderly end, the second does not wait."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, frame: self._ask(number))

    def signalled(self) -> int:
        """The exit code of a command that a signal has ended; 0 without one."""
        return 0 if self.asked is None else 128 + self.asked

    def connect(self) -> list[Link]:
        """Wait for every host's first words; the hosts that cannot run workers."""
        deadline = time.monotonic() + ANSWER_S
        while self.asked is None and any(link.state is State.CONNECTING for link in self.links):
            self._step()
            if time.monotonic() > deadline:
                for link in self.links:
                    if link.state is State.CONNECTING:
                        self._drop(link)
                        link.fail(
                            f"no answer within {ANSWER_S} s: does `ssh` by hand work, without a question?"
                        )
        return [link for link in self.links if link.state is State.FAILED]

    def run(self, logs: Path) -> None:
        """Start the workers; return when they have ended or a signal has asked for it."""
        for link in self.links:
            if link.state is State.READY:
                link.go(logs)
        while self.asked is None and not all(link.over for link in self.links):
            self._step()

    def stop(self) -> None:
        """End every worker and wait for that; a host that does not answer is cut off, which ends them too."""
        for link in self.links:
            link.write(b"stop\n")
        deadline = time.monotonic() + remote.STOP_S + 5
        while not all(link.over for link in self.links):
            self._step()
            if self._impatient or time.monotonic() > deadline:
                break
        for link in self.links:
            self._drop(link)
            link.fail("it did not answer when it was told to stop: its workers end with the connection")

    def close(self) -> None:
        for link in self.links:
            link.close()

    def _ask(self, number: int) -> None:
        self._impatient = self.asked is not None
        self.asked = self.asked or number

    def _step(self) -> None:
        for key, _ in self._selector.select(LOOK_S):
            link, which = key.data
            if link.over or key.fd not in self._selector.get_map():
                continue
            if not link.read(which) and not link.over:
                self._selector.unregister(key.fd)
        for link in self.links:
            if link.over:
                self._drop(link)
        now = time.monotonic()
        if now - self._beat >= BEAT_S:
            self._beat = now
            for link in self.links:
                if not link.over:
                    link.write(b"beat\n")

    def _drop(self, link: Link) -> None:
        """Look at its pipes no more; when it is over they are closed already, which epoll has noticed."""
        for pipe, key in list(self._selector.get_map().items()):
            if key.data[0] is link:
                self._selector.unregister(pipe)


def show(label: str, text: str) -> None:
    """One line, marked with where it comes from."""
    sys.stdout.write(f"{label} | {text}\n")
    sys.stdout.flush()
