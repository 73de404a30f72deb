"""The parent's side of the feed: starts the child, says how it fares, and lets it write what waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from triton_users.clock import Clock, now_ns
from triton_users.process import Child, spawn
from triton_users.sinks.feed_status import FeedStatus, StatusFile
from triton_users.sinks.feed_watch import Watch
from triton_users.sinks.folder import ResultsFolder
from triton_users.sinks.influx_target import InfluxTarget
from triton_users.units import NS_PER_S, format_count, format_duration

LOOK_NS = NS_PER_S
"""Between two looks at how the feed fares."""
GRACE_NS = 2 * NS_PER_S
"""Beyond its time, for a child that has to say how it ended."""
POLL_S = 0.05
PATIENCE_NS = NS_PER_S
"""So long nobody needs to be told that there is something to wait for."""


class FeedChild:
    """Writes ``folder`` to ``target`` in a process of its own. Nothing here raises after ``start``."""

    def __init__(self, folder: ResultsFolder, target: InfluxTarget, clock: Clock = now_ns) -> None:
        self.target = target
        self._folder = folder
        self._status = StatusFile(folder.path / "feed.status")
        self._log = folder.path / "feed.log"
        self._clock = clock
        self._child: Child | None = None
        self._draining: Child | None = None
        self._hurried_ns: int | None = None
        self._watch = Watch(folder.path / "rejected.jsonl")
        self._looked = 0

    def start(self) -> None:
        """Start the child. Raises OSError."""
        self._status.create()
        command = [sys.executable, "-m", "triton_users", "feed", str(self._folder.path.resolve())]
        command += [*self.target.arguments(), "--status", str(self._status.path.resolve())]
        self._child = spawn(command, log=self._log)

    @property
    def pid(self) -> int | None:
        """None while there is no child."""
        return None if self._child is None else self._child.pid

    def watch(self, lines: int) -> list[str]:
        """What there is to say now that the spool has ``lines``; looks once a second at most."""
        now = self._clock()
        if self._child is None or now - self._looked < LOOK_NS:
            return []
        self._looked = now
        status = self._status.read()
        said = [] if status is None else list(self._watch.news(status, lines, now))
        ending = self._child.ending()
        if ending is not None:
            self._child = None
            said.append(f"InfluxDB: the feed has ended ({ending}); the run goes on. {self._how_to_replay()}")
        return said

    @property
    def draining(self) -> bool:
        """Whether ``finish`` waits for what is not written yet."""
        return self._draining is not None

    def hurry(self) -> None:
        """Have ``finish`` wait no longer. Does nothing where it does not wait."""
        if self._draining is not None and self._hurried_ns is None:
            self._hurried_ns = now_ns()
            self._draining.terminate()

    def finish(self, lines: int) -> Iterator[str]:
        """The spool is complete, with ``lines``: wait while the rest is written, no longer than the target
        allows; what to say, as it comes. Does nothing the second time."""
        if self._child is None:
            return
        child, self._child = self._child, None
        self._draining = child
        yield from self._end(child, lines)
        self._draining = None
        status = self._status.read() or FeedStatus()
        yield from self._watch.given_up(status)
        if status.lines >= lines:
            written = f"{format_count(status.points)} points"
            if status.missing:
                yield f"InfluxDB: {written} are written, all but {status.missing}"
            else:
                yield f"InfluxDB: all is written, {written}"
            self._clear()
        else:
            waiting = f"{format_count(lines - status.lines)} of {format_count(lines)} lines are not written"
            ended = "stopped" if self._hurried_ns is not None else f"the feed ended with {child.ending()}"
            yield f"InfluxDB: {waiting}: {status.reason or ended}. {self._how_to_replay()}"

    def _end(self, child: Child, lines: int) -> Iterator[str]:
        """SIGTERM would kill a child that is still starting: it hears of the end when it can heed it."""
        deadline = now_ns() + self.target.drain_ns
        while not self._started() and now_ns() < deadline and not child.wait(POLL_S):
            pass
        child.terminate()
        asked, told = now_ns(), False
        while not child.wait(POLL_S) and now_ns() < (self._hurried_ns or deadline) + GRACE_NS:
            if not told and now_ns() - asked > PATIENCE_NS:
                told = True
                yield self._waiting(lines)
        child.kill()

    def _waiting(self, lines: int) -> str:
        status = self._status.read() or FeedStatus()
        most = format_duration(self.target.drain_ns)
        return f"InfluxDB: {format_count(lines - status.lines)} lines wait, up to {most} (Ctrl-C: no longer)"

    def _started(self) -> bool:
        status = self._status.read()
        return status is not None and status.started

    def _clear(self) -> None:
        self._status.remove()
        try:
            if not self._log.stat().st_size:
                self._log.unlink()
        except OSError:
            return

    def _how_to_replay(self) -> str:
        return f"Write it later by:\n  {self.target.replay_command(self._folder.path)}"
