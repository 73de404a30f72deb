"""What the spool tells beside merged seconds: events, what steps lost and their results; and the feed that
reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from triton_users.report.outcome import RunOutcome, StepOutcome
from triton_users.report.rows import step_rows
from triton_users.run.voice import Voice
from triton_users.run.workers import Peer
from triton_users.sinks.events import ERROR, OPEN_LOOP, event_line, lost_line, step_line
from triton_users.sinks.feed_child import FeedChild
from triton_users.sinks.spool import Spool
from triton_users.stats.window import Key, Series
from triton_users.step import CLOSED, Step
from triton_users.verdict.verdict import Reason


class Diary:
    """Writes to ``spool``; ``feed`` is None where the run goes to no database. Nothing here raises.

    All times are on the run's axis.
    """

    def __init__(self, spool: Spool, voice: Voice, feed: FeedChild | None) -> None:
        self._spool = spool
        self._voice = voice
        self._feed = feed
        self._events = 0
        self._here: dict[int, Peer] = {}
        self._steps: dict[int, Step] = {}

    def event(self, event: str, at_ns: int, title: str, text: str = "", **more: Any) -> None:
        """Something happened; ``more`` as ``event_line`` has it."""
        self._spool.append(event_line(self._events, event, at_ns, title, text, **more))
        self._events += 1

    def sample(self, line: str) -> None:
        """Lines of an agent, JSON already, without the last one's end."""
        self._spool.append(line)

    def complete(self, line: dict[str, Any]) -> None:
        """Put into a merged second what the timeline does not know: names, which flows have a schedule,
        addresses and clocks."""
        step = self._steps.get(line["step"])
        line["name"] = "" if step is None else step.name
        if step is not None:
            line[OPEN_LOOP] = _open_loop(step)
        for generator in line["generators"]:
            peer = self._here.get(generator["worker"])
            if peer is not None and "clock_offset_ns" not in generator:
                generator["address"] = peer.hello.address
                generator["clock_offset_ns"] = peer.clock.offset_ns
                generator["clock_uncertainty_ns"] = peer.clock.uncertainty_ns

    def run_start(self, run: str, command: str) -> None:
        """The run begins, at zero of its axis."""
        self.event("run_start", 0, f"run {run}", command)

    def plan(self, step: Step) -> None:
        """A step is about to begin: its name goes into every line of it."""
        self._steps[step.index] = step

    def step_start(self, step: Step, t0_ns: int) -> None:
        """A step's schedule begins at ``t0_ns``."""
        self.event("step_start", t0_ns, step.name, step=step.index)

    def step_lost(self, step: Step, at_ns: int, series: Mapping[Key, Series]) -> None:
        """A step ended at ``at_ns``, with what no second of it tells."""
        if series:
            self._spool.append(lost_line(step.index, step.name, at_ns, series, _open_loop(step)))

    def step_end(self, run: RunOutcome, outcome: StepOutcome, now_ns: int) -> None:
        """A step has been judged: its exact result, its reasons, and its span."""
        result = outcome.result
        step = result.step
        start = result.trials[0].start_ns if result.trials else result.t0_ns
        end = result.trials[-1].end_ns if result.trials else now_ns
        self._spool.append(step_line(step.index, step.name, start, end, step_rows(run, outcome)))
        self.event("step_end", result.t0_ns, step.name, step=step.index, until_ns=now_ns)
        for reason in outcome.verdict.reasons:
            self._reason(reason, now_ns, step.index)

    def workers(self, here: Collection[Peer], now_ns: int) -> None:
        """These workers are there now."""
        found = {peer.number: peer for peer in here}
        if found.keys() != self._here.keys():
            for number in sorted(found.keys() - self._here.keys()):
                self.event("worker_joined", now_ns, found[number].name)
            for number in sorted(self._here.keys() - found.keys()):
                self.event("worker_lost", now_ns, self._here[number].name, severity=ERROR)
            self._here = found

    def server_restart(self, now_ns: int, death: str) -> None:
        """The embedded server died and is started again."""
        self.event("server_restart", now_ns, "Triton died and is started again", death, severity=ERROR)

    def given_server_restart(self, at_ns: int, text: str) -> None:
        """A server that is not ours was started again; ``text`` says how that is known."""
        title = "Triton, or a model in it, was started again"
        self.event("server_restart", at_ns, title, text, severity=ERROR)
        self._voice.say(f"{title}: {text}")

    def run_end(self, outcome: RunOutcome) -> None:
        """The run is over; its own reasons, and its span."""
        known = [reason for step in outcome.steps for reason in step.verdict.reasons]
        for reason in outcome.verdict.reasons:
            if reason not in known:
                self._reason(reason, outcome.duration_ns, None)
        text = "valid" if outcome.verdict.valid else "not valid"
        self.event("run_end", 0, f"run {outcome.id}", text, until_ns=outcome.duration_ns)

    def _reason(self, reason: Reason, now_ns: int, step: int | None) -> None:
        self.event("reason", now_ns, reason.code, reason.message, severity=reason.severity, step=step)

    # The feed

    def start_feed(self) -> None:
        """Start the child; what keeps it from starting is said."""
        if self._feed is None:
            return
        try:
            self._feed.start()
        except OSError as error:
            self._voice.error(f"InfluxDB: the feed cannot start ({error}); the run goes on without")
            self._feed = None

    def look(self) -> None:
        """Say how the feed fares, if there is something to say. Cheap: call it often."""
        if self._feed is not None:
            for text in self._feed.watch(self._spool.written):
                self._voice.say(text)

    @property
    def draining(self) -> bool:
        """Whether the run is over but for what the database does not have yet."""
        return self._feed is not None and self._feed.draining

    def hurry_feed(self) -> None:
        """Wait no longer for the database."""
        if self._feed is not None:
            self._feed.hurry()

    def finish_feed(self) -> None:
        """The spool is closed: wait while the feed writes the rest."""
        if self._feed is not None:
            for text in self._feed.finish(self._spool.written):
                self._voice.say(text)


def _open_loop(step: Step) -> list[str]:
    return [flow.name for flow in step.flows if flow.process != CLOSED]
