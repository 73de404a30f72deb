"""The agent beside a run: started, listened to, stopped. What becomes of it never touches the load."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.os import make_nonblocking, nb_read

from triton_users.clock import Clock, now_ns
from triton_users.collect.child import Job
from triton_users.collect.sensor import NOTE, RESTART
from triton_users.collect.sensors import TritonAt
from triton_users.collect.token import VARIABLE, TokenError, read_token
from triton_users.options.settings import Settings
from triton_users.process import Child, spawn
from triton_users.run.errors import RunError
from triton_users.run.target import Target
from triton_users.units import NS_PER_S

METRICS_PORT = 8002
"""Where a Triton shows its metrics if nobody says otherwise."""
CHUNK_BYTES = 1 << 18
GATHER_NS = 3 * NS_PER_S // 2
"""So long after a host's first word all its sensors have said whether they are there."""

OnLines = Callable[[str], None]
Say = Callable[[str], None]
OnRestart = Callable[[int, str], None]


def agent_job(settings: Settings, target: Target, zero_ns: int) -> Job:
    """What the agent is to do."""
    metrics = settings.metrics_url or target.metrics_url
    guessed = f"http://{target.url.rpartition(':')[0]}:{METRICS_PORT}/metrics"
    triton = TritonAt(
        url=target.url,
        models=target.models,
        metrics_url=metrics or guessed,
        metrics_guessed=metrics is None,
        metrics_interval_ns=settings.metrics_interval_ns,
    )
    return Job(zero_ns, triton, settings.agents)


def agent_token(settings: Settings) -> str | None:
    """The token for agents on other hosts, None where there are none. Raises RunError."""
    if settings.no_agent or not settings.agents:
        return None
    try:
        return read_token(settings.agent_token_file)
    except TokenError as error:
        raise RunError(f"--agent: {error}") from error


class AgentChild:
    """Calls ``on_lines`` with the agent's lines as they come, ``say`` with what the user should know, and
    ``on_restart`` when the server was started again: with the instant (ns, the run's axis) and how it shows.

    Nothing here raises.
    """

    def __init__(
        self,
        job: Job,
        token: str | None,
        log: Path,
        on_lines: OnLines,
        say: Say,
        on_restart: OnRestart | None,
    ) -> None:
        self._job, self._token, self._log = job, token, log
        self._on_lines = on_lines
        self._news = News(say, on_restart)
        self._say = say
        self._child: Child | None = None
        self._reader: Any = None

    def start(self) -> None:
        """Start the process; what keeps it from starting is said."""
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        if self._token is not None:
            environment[VARIABLE] = self._token
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "triton_users.collect.child", self._job.text()]
        try:
            self._child = spawn(command, env=environment, log=self._log, stdout=theirs)
        except OSError as error:
            os.close(ours)
            self._say(f"agent: it cannot start ({error.strerror}); the run goes on without")
            return
        finally:
            os.close(theirs)
        make_nonblocking(ours)
        self._reader = gevent.spawn(self._read, ours)

    def stop(self) -> None:
        """End the process and read what it has said; twice does no harm."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()
            self._reader.join(2.0)
            with contextlib.suppress(OSError):
                if not self._log.stat().st_size:
                    self._log.unlink()

    def _read(self, ours: int) -> None:
        rest = b""
        try:
            while data := nb_read(ours, CHUNK_BYTES):
                whole, end, rest = (rest + data).rpartition(b"\n")
                if end:
                    self._take(whole.decode(errors="replace"))
        finally:
            os.close(ours)
        child = self._child
        if child is not None:  # nobody has stopped it
            child.wait(1.0)
            told = "".join(f": {line}" for line in child.last_lines(1))
            self._say(f"agent: it has ended ({child.ending()}{told}); the run goes on")

    def _take(self, lines: str) -> None:
        self._on_lines(lines)
        if f'"kind":"{NOTE}"' in lines:
            for line in lines.split("\n"):
                if line.startswith(f'{{"kind":"{NOTE}"'):
                    self._news.add(json.loads(line))
        self._news.look()


class News:
    """What the sensors say of themselves: faults at once, what there is on a host in one line; and what they
    say of the server."""

    def __init__(self, say: Say, on_restart: OnRestart | None = None, clock: Clock = now_ns) -> None:
        self._say, self._on_restart, self._clock = say, on_restart, clock
        self._hosts: dict[str, tuple[int, dict[str, list[str]]]] = {}

    def add(self, note: dict[str, Any]) -> None:
        source, host, state = note["source"], note["host"], note["state"]
        if state == RESTART:
            if self._on_restart is not None and "at_ns" in note:
                self._on_restart(note["at_ns"], note["text"])
        elif state == "failed":
            self._say(f"agent on {host}: {source}: {note['text']}")
        elif state == "back":
            self._say(f"agent on {host}: {source} is back")
        else:
            _, found = self._hosts.setdefault(host, (self._clock(), {}))
            found.setdefault(state, []).append(source)

    def look(self) -> None:
        """Say what is known of hosts that have had time to find out."""
        for host, (since, found) in list(self._hosts.items()):
            if self._clock() - since >= GATHER_NS:
                del self._hosts[host]
                here = ", ".join(sorted(found.get("here", ()))) or "nothing"
                absent = ", ".join(sorted(found.get("absent", ())))
                self._say(f"agent on {host}: measures {here}{f'; not there: {absent}' if absent else ''}")
