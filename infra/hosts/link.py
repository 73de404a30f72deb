"""One host seen from here: its ssh, the keeper at the other end, and what they say."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import IO, Any

from infra.hosts import remote
from infra.hosts.hosts_file import Host

KEPT_LINES = 20
CHUNK = 65_536


class State(Enum):
    """How far a host is."""

    CONNECTING = "connecting"
    READY = "ready"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    """It never got so far as to start its workers."""
    LOST = "lost"
    """The connection broke with workers running."""


class Link:
    """``show`` gets (label, line) of all that is said there. ``fault`` is why it failed or was lost."""

    def __init__(
        self, host: Host, order: bytes, config: Path | None, show: Callable[[str, str], None]
    ) -> None:
        self.host = host
        self.state = State.CONNECTING
        self.fault = ""
        self.hello: dict[str, Any] = {}
        self.codes: dict[int, int] = {}
        self.logs: dict[int, IO[bytes]] = {}
        self.why = ""
        self._show = show
        self._said: deque[str] = deque(maxlen=KEPT_LINES)
        self._rest = {"out": b"", "err": b""}
        self._open = 2
        # A session of its own: a terminal's Ctrl-C is ours to pass on, as an order and not as a broken pipe.
        self._ssh = subprocess.Popen(
            remote.ssh_command(host, config),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._ssh.stdin and self._ssh.stdout and self._ssh.stderr
        self._stdin = self._ssh.stdin.fileno()
        os.set_blocking(self._stdin, False)
        self.pipes = {"out": self._ssh.stdout.fileno(), "err": self._ssh.stderr.fileno()}
        self.write(order)

    @property
    def over(self) -> bool:
        return self.state in (State.ENDED, State.FAILED, State.LOST)

    def write(self, data: bytes) -> None:
        """To the keeper. A pipe that is full or gone is noticed elsewhere."""
        if self.over:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._stdin, data)

    def go(self, logs: Path) -> None:
        """Start the workers, each with its log."""
        for number in range(self.host.workers):
            self.logs[number] = (logs / f"{self.host.file_name}-{number}.log").open("wb", buffering=0)
        self.state = State.RUNNING
        self.write(b"go\n")

    def read(self, which: str) -> bool:
        """Take in what has come; False at the end of that pipe."""
        data = os.read(self.pipes[which], CHUNK)
        *lines, self._rest[which] = (self._rest[which] + data).split(b"\n")
        if not data:
            lines = [self._rest[which]] if self._rest[which] else []
            self._open -= 1
        for line in lines:
            if which == "out":
                self._heard(line)
            else:
                self._chatter(line.decode(errors="replace").rstrip("\r"))
        if self._open == 0:
            self._end()
        return bool(data)

    def fail(self, fault: str) -> None:
        """Give this host up, or say how it was lost."""
        if not self.over:
            self.state = State.LOST if self.state is State.RUNNING else State.FAILED
            self.fault = fault
            self.close()

    def close(self) -> None:
        """Cut the connection: the keeper ends what it keeps."""
        with contextlib.suppress(ProcessLookupError):
            self._ssh.kill()
        self._ssh.wait()
        for pipe in (self._ssh.stdin, self._ssh.stdout, self._ssh.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        for log in self.logs.values():
            log.close()

    def _heard(self, line: bytes) -> None:
        """A line of standard output: of the keeper, of a worker, or of a login script."""
        head, _, text = line.partition(b" ")
        if head == b"!":
            with contextlib.suppress(ValueError):
                self._news(json.loads(text))
                return
        if self.state is State.RUNNING and head.isdigit() and (log := self.logs.get(int(head))) is not None:
            log.write(text + b"\n")
            self._show(self._label(int(head)), text.decode(errors="replace").rstrip("\r"))
        else:
            self._chatter(line.decode(errors="replace").rstrip("\r"))

    def _chatter(self, text: str) -> None:
        self._said.append(text)
        if self.state is State.RUNNING:
            self._show(self.host.label, text)

    def _news(self, news: dict[str, Any]) -> None:
        if "python" in news:
            self.hello = news
            fault = remote.what_is_missing(self.host, news)
            if fault is None:
                self.state = State.READY
            else:
                self.fail(fault)
        elif "worker" in news:
            number, code = int(news["worker"]), int(news["code"])
            self.codes[number] = code
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            self._show(self._label(number), f"-- ended, {how}")
        elif "ended" in news:
            self.why = str(news["why"])

    def _label(self, number: int) -> str:
        return self.host.label if self.host.workers == 1 else f"{self.host.label}/{number}"

    def _end(self) -> None:
        """ssh has closed both pipes."""
        code = self._ssh.wait()
        if self.over:
            return
        if self.state is State.CONNECTING:
            self.fail(remote.ssh_failure(self.host, code, self._said))
        elif self.why or self.state is State.READY:
            self.close()
            self.state = State.ENDED
        else:
            self.fail(
                f"the connection broke ({remote.last(self._said)}): "
                f"its workers end within {remote.SILENCE_S} s"
            )
