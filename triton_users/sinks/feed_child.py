"""The parent's side of the feed: starts the child, says how it fares, and lets it write what waits."""

from __future__ import annotations

import sys

from triton_users.clock import Clock, now_ns
from triton_users.process import Child, spawn
from triton_users.sinks.feed_status import FeedStatus, StatusFile
from triton_users.sinks.feed_watch import Watch
from triton_users.sinks.folder import ResultsFolder
from triton_users.sinks.influx_target import InfluxTarget
from triton_users.units import NS_PER_S, format_count

LOOK_NS = NS_PER_S
"""Between two looks at how the feed fares."""
GRACE_S = 2.0
START_POLL_S = 0.05


class FeedChild:
    """Writes ``folder`` to ``target`` in a process of its own. Nothing here raises after ``start``."""

    def __init__(self, folder: ResultsFolder, target: InfluxTarget, clock: Clock = now_ns) -> None:
        self.target = target
        self._folder = folder
        self._status = StatusFile(folder.path / "feed.status")
        self._log = folder.path / "feed.log"
        self._clock = clock
        self._child: Child | None = None
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

    def finish(self, lines: int) -> list[str]:
        """The spool is complete, with ``lines``: wait while the rest is written, no longer than the target
        allows; what to say. Does nothing the second time."""
        if self._child is None:
            return []
        child, self._child = self._child, None
        self._end(child)
        status = self._status.read() or FeedStatus()
        said = list(self._watch.given_up(status))
        if status.lines >= lines:
            written = f"{format_count(status.points)} points"
            if status.missing:
                said.append(f"InfluxDB: {written} are written, all but {status.missing}")
            else:
                said.append(f"InfluxDB: all is written, {written}")
            self._clear()
        else:
            waiting = f"{format_count(lines - status.lines)} of {format_count(lines)} lines are not written"
            reason = status.reason or f"the feed ended with {child.ending()}"
            said.append(f"InfluxDB: {waiting}: {reason}. {self._how_to_replay()}")
        return said

    def _end(self, child: Child) -> None:
        """SIGTERM would kill a child that is still starting: it hears of the end when it can heed it."""
        deadline = now_ns() + self.target.drain_ns
        while not self._started() and now_ns() < deadline and not child.wait(START_POLL_S):
            pass
        child.stop(max(deadline - now_ns(), 0) / NS_PER_S + GRACE_S)

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
