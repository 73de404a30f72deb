"""One run on the master: gathers workers, measures the plan step by step, and always closes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import gevent
from gevent.event import Event

from triton_users.clock import now_ns
from triton_users.options.settings import Settings
from triton_users.plan.flows import Source
from triton_users.plan.measure import LatencyOf, Stopped
from triton_users.plan.sweep import sweep
from triton_users.report.outcome import RunOutcome, ServerInfo, StepOutcome
from triton_users.run import protocol as p
from triton_users.run.conversation import Conversation
from triton_users.run.record import Record
from triton_users.run.step_run import RefusedError, StepRun
from triton_users.run.target import Target
from triton_users.run.workers import Peer, Workers
from triton_users.stats.result import StepResult
from triton_users.stats.window import Window
from triton_users.step import CLOSED, Step
from triton_users.units import NS_PER_S
from triton_users.verdict.verdict import DOUBTFUL, INVALID, Reason, combine

GATHER_NS = 15 * NS_PER_S
"""How long workers that Locust knows have to introduce themselves."""
TELL_NS = 2 * NS_PER_S
"""After so long it is said what is waited for."""


@dataclass(slots=True)
class Placement:
    """What Locust is asked for: so many users, spawned at ``rate`` a second."""

    users: int = 0
    rate: float = 100.0


@dataclass(slots=True)
class Run:
    """A run from its first step to its results. ``placed`` tells whether so many users are in place;
    ``needed`` is the least number of workers; ``zero_ns`` is the run's zero on this machine's monotonic
    clock, ``zero_wall_ns`` the same instant since the epoch."""

    id: str
    seed: int
    settings: Settings
    sources: Sequence[Source]
    target: Target
    workers: Workers
    record: Record
    placed: Callable[[int], bool]
    needed: int
    zero_ns: int
    zero_wall_ns: int
    planned_steps: int
    raised: Callable[[], int]
    """How many exceptions the users' tasks have raised so far."""
    probe: LatencyOf
    placement: Placement = field(default_factory=Placement)
    outcomes: list[StepOutcome] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    outcome: RunOutcome | None = None
    refusal: str | None = None
    """Why the run could not start: workers did not fit, did not come, or cannot take part."""
    finished: Event = field(default_factory=Event)
    talk: Conversation = field(init=False)
    _step: StepRun | None = None
    _took_part: set[int] = field(default_factory=set)
    _unacknowledged: set[tuple[int, int]] = field(default_factory=set)
    _stop: str | None = None
    _hurried: bool = False
    _load_from_ns: int | None = None

    def __post_init__(self) -> None:
        self.talk = Conversation(
            self.id,
            self.zero_ns,
            self.workers,
            self._start_for,
            self._window,
            self._joined,
            self.record.pause,
        )
        self.record.on_disk = self._on_disk

    # The run

    def execute(self) -> None:
        """Measure the plan to its end, or to a stop, and write the results. Blocks the greenlet."""
        self.workers.new_run(now_ns())
        try:
            if self._gathered():
                sweep(self._measure, self.settings, self.sources, self._skipped, self._probed)
        except Exception as error:  # a fault of ours: the results so far are still written
            self.record.note(traceback.format_exc())
            self._broken(error)
        finally:
            self._end()

    def _gathered(self) -> bool:
        """Whether every worker that Locust has is here, fits, and there are enough."""
        deadline = now_ns() + GATHER_NS
        while not self._stopping():
            members = set(self.workers.members())
            refused = [why for node, why in self.workers.refused.items() if node in members]
            silent = members - set(self.workers.peers) - set(self.workers.refused)
            if refused := refused or self._elsewhere():
                self.refusal = "; ".join(refused)
                return False
            in_time, ready = now_ns() <= deadline, members - silent
            if len(ready) >= self.needed and not (silent and in_time):
                for node in sorted(silent):  # Locust's id is all that is known of it
                    self.record.note(f"goes on without {node}: it has not introduced itself, see its log")
                self.record.expect(sorted(self.workers.peers[node].number for node in ready))
                return True
            if not in_time:
                whose = f" (not {', '.join(sorted(silent))})" if silent else ""
                self.refusal = (
                    f"{len(ready)} of {max(self.needed, len(members))} workers are ready{whose}: "
                    "see the workers' logs"
                )
                return False
            self.talk.listen(0.05)
        return True

    def _elsewhere(self) -> list[str]:
        """Workers on other machines, where the server can only be reached on this one."""
        return [
            f"{peer.name} {why}"
            for peer in self.talk.here()
            if (why := self.target.unreachable_from(peer.hello.host)) is not None
        ]

    def _broken(self, error: Exception) -> None:
        message = f"the run broke: {type(error).__name__}: {error}"
        advice = "this is a fault of the load generator: please report it with the output and run.json"
        self.reasons.append(Reason("internal_error", INVALID, None, message, advice))

    def _end(self) -> None:
        try:
            self.workers.send_all(p.RunEnd(self.id))
            if self.refusal is not None:
                self.workers.turn_away()
                self.record.discard(self.refusal)
                return
            self.outcome = self._outcome()
            self.outcome = self.record.close(self.outcome)
        finally:
            self.finished.set()

    def stop(self, reason: str) -> None:
        """End the run soon, with what has been measured: Ctrl-C, SIGTERM, -t, the web UI's stop."""
        self._stop = self._stop or reason

    def deserted(self) -> None:
        """No worker is left: the run ends here, and nobody answers for the rest of it."""
        message = "the last worker is gone, and the run ended there"
        advice = "see the workers' logs, and measure again with workers that stay"
        reason = Reason("workers_gone", INVALID, None, message, advice)
        if reason not in self.reasons:
            self.reasons.append(reason)
        self.stop(message)

    def hurry(self) -> None:
        """Do not wait any longer, for answers or for the database."""
        self._hurried = True
        if self.talk.leading is not None:
            self.talk.leading.hurried = True
        self.record.diary.hurry_feed()

    @property
    def asked_to_stop(self) -> bool:
        return self._stop is not None

    @property
    def draining(self) -> bool:
        """Whether all is over but for what the database does not have yet."""
        return self.record.diary.draining

    def _skipped(self, sentence: str) -> None:
        advice = "see why the steps before it had no success"
        self.reasons.append(Reason("step_skipped", DOUBTFUL, None, sentence, advice))

    def _stopping(self) -> bool:
        """-t counts from the first load on."""
        limit, start = self.settings.run_time_ns, self._load_from_ns
        if limit is not None and start is not None and self.talk.now >= start + limit and self._stop is None:
            self._stop = "the run time (-t) is over"
        return self._stop is not None

    def _outcome(self) -> RunOutcome:
        verdict = combine([outcome.verdict for outcome in self.outcomes])
        if self.reasons:
            valid = verdict.valid and all(reason.severity != INVALID for reason in self.reasons)
            verdict = replace(verdict, valid=valid, reasons=(*self.reasons, *verdict.reasons))
        target = self.target
        return RunOutcome(
            id=self.id,
            seed=self.seed,
            zero_wall_ns=self.zero_wall_ns,
            duration_ns=self.talk.now,
            command=self.record.command,
            versions=self.record.versions | {"triton": target.version},
            workers=len(self._took_part),
            server=ServerInfo(target.url, target.version, target.embedded, target.extensions),
            steps=tuple(self.outcomes),
            verdict=verdict,
            latency_threshold_ns=self.settings.latency_threshold_ns,
            exceptions=self.raised(),
        )

    # Steps

    def _measure(self, step: Step) -> StepResult:
        if self._stopping():
            raise Stopped
        self.record.step(step, self.planned_steps)
        self._ask_for_users(step)
        self._step = StepRun(
            step,
            self.talk,
            self.record,
            self.target,
            self.settings,
            self.seed,
            1 if self.outcomes else self.needed,  # who was lost later is not waited for
            lambda: self.placed(self.placement.users),
            self._stopping,
        )
        try:
            outcome = self._step.measure(self._started)
        except RefusedError as error:
            if self.outcomes:
                self.reasons.append(Reason("not_measured", INVALID, step.name, error.message, error.advice))
            else:
                self.refusal = f"the run cannot start: {error.message}. What to do: {error.advice}"
            raise Stopped from error
        self.outcomes.append(outcome)
        self.reasons += self._step.unsaved()
        if self._step.deserted:
            self.deserted()
        self.record.diary.step_end(self._outcome(), outcome, self.talk.now)
        return outcome.result

    def _probed(self, step: Step) -> int | None:
        """What a request alone takes, before the load; until the answer workers hear of the master. A stop
        waits for it as a drain does: a server may crash when a request is cancelled."""
        asked = gevent.spawn(self.probe, step)
        tell_at, leave_at = now_ns() + TELL_NS, sys.maxsize
        patience_ns = 0 if self.target.embedded else self.settings.drain_ns
        while not asked.ready() and not self._hurried and now_ns() < leave_at:
            self.talk.listen(0.02)
            self.record.diary.look()
            if self._stopping():
                leave_at = min(leave_at, now_ns() + patience_ns)
            if tell_at <= now_ns():
                self.record.voice.say("one request alone comes first: its latency tells how long to warm up")
                tell_at = sys.maxsize
        if not asked.ready():
            asked.kill()
            return None
        latency: int | None = asked.value
        return latency

    def _started(self, t0_ns: int) -> None:
        self._load_from_ns = self._load_from_ns or t0_ns

    def _ask_for_users(self, step: Step) -> None:
        users = sum(flow.users or 0 for flow in step.flows if flow.process == CLOSED)
        if any(source.tasks for source in self.sources) and step.open_loop:
            users = self.settings.users or step.max_in_flight
        self.placement = Placement(users, self.settings.spawn_rate or max(users, 100))

    # What the conversation asks and brings

    def _start_for(self, peer: Peer) -> p.RunStart:
        folder = str(self.record.folder.path)
        return p.RunStart(self.id, folder, self.seed, self.target.url, peer.number, self.settings)

    def _joined(self, peer: Peer) -> None:
        assert self._step is not None
        self._step.joined[peer.number] = peer
        self._took_part.add(peer.number)

    def _window(self, window: Window) -> None:
        name, timeline = (window.worker, window.seq), self.record.timeline
        if timeline.known(*name):
            if name not in self._unacknowledged:
                self.talk.acknowledge(*name)  # again: the first word of it got lost
            return
        if self._step is not None and window.step == self._step.step.index:
            self._step.window(window)
        self._unacknowledged.add(name)
        self.record.window(window)
        if timeline.too_late(window):  # nothing more will be written of it
            self._on_disk(*name)

    def _on_disk(self, worker: int, seq: int) -> None:
        """Said once of each, though every revision of a second names all its windows."""
        if (worker, seq) in self._unacknowledged:
            self._unacknowledged.remove((worker, seq))
            self.talk.acknowledge(worker, seq)
