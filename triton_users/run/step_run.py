"""One step on the master: users in place, workers ready, leases while it lasts, drain, judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from triton_users.clock import now_ns
from triton_users.options.settings import Settings
from triton_users.plan.measure import Stopped
from triton_users.report.outcome import Gap, StepOutcome, WorkerView
from triton_users.run import lost
from triton_users.run.conversation import Conversation, Leading
from triton_users.run.judging import facts_of
from triton_users.run.record import Record
from triton_users.run.reported import Reported
from triton_users.run.roster import Roster
from triton_users.run.server_view import ServerView
from triton_users.run.target import Target
from triton_users.run.workers import Peer
from triton_users.stats.window import Window
from triton_users.step import CLOSED, Step
from triton_users.units import NS_PER_MS, NS_PER_S
from triton_users.verdict.judge import judge
from triton_users.verdict.verdict import INVALID, Reason

LEAD_NS = 400 * NS_PER_MS
"""From the decision to start a step to its t0: what every worker needs to be told and armed."""
PREPARE_NS = 120 * NS_PER_S
"""How long users may take to come, and workers to get ready beside the time that they wait for the server."""
OWED_NS = 5 * NS_PER_S
"""How long the master waits for windows once all living workers are done, and beyond the drain for that."""
ALONE_NS = 10 * NS_PER_S
"""Without any worker for so long, the run is over. Locust, if it misses the last one too, stops it sooner."""


class RefusedError(Exception):
    """A step cannot be measured: message and advice."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message, self.advice = message, advice


@dataclass(slots=True)
class StepRun:
    """``place`` asks Locust for users and tells whether they are there; ``stopping`` whether the run is to
    end; ``joined`` are the workers that took part."""

    step: Step
    talk: Conversation
    record: Record
    target: Target
    settings: Settings
    seed: int
    needed: int
    place: Callable[[], bool]
    stopping: Callable[[], bool]
    reported: Reported = field(default_factory=Reported)
    joined: dict[int, Peer] = field(default_factory=dict)
    slots: Counter[int] = field(default_factory=Counter)
    deserted: bool = False
    """Workers that took part have not answered, and none is left."""
    _there: dict[int, Peer] = field(default_factory=dict)
    _alone_since: int | None = None

    # What workers say

    def window(self, window: Window) -> None:
        """One of this step's windows has come."""
        self.reported.add(window)
        self.slots[window.second] += window.users

    # The phases

    def measure(self, started: Callable[[int], None]) -> StepOutcome:
        """The whole step. ``started`` hears of t0 (ns, the run's axis). Raises Stopped, RefusedError."""
        talk, step = self.talk, self.step
        leading = talk.leading = Leading(step)
        if not self._in_time(self.place, PREPARE_NS):
            raise RefusedError("Locust's users did not come", "see the workers' logs")
        self._prepared()
        self.record.begin()
        view = ServerView(self.target, step)
        view.before()
        leading.t0_ns = t0 = talk.now + LEAD_NS
        leading.roster = roster = Roster(step.index, step.length_ns)
        self.reported.t0_ns = t0
        started(t0)
        self.record.diary.step_start(step, t0)
        for peer in self._ready():
            roster.heard(peer.number, talk.now - t0)
            talk.begin(peer)
        talk.soon()
        self._lead(t0)
        stopped = self.stopping() or step.length_ns is None
        end = self._drain(leading)
        return self._close(t0, end, roster, view, stopped)

    def _in_time(self, there: Callable[[], bool], most_ns: int) -> bool:
        """Wait until it is so. Raises Stopped."""
        deadline = now_ns() + most_ns
        while not there():
            self.talk.listen(0.02)
            self._watch(self.talk.here())
            if self.stopping():
                raise Stopped
            if now_ns() > deadline:
                return False
        return True

    def _ready(self) -> list[Peer]:
        return [peer for peer in self.talk.here() if peer.is_ready(self.step.index) and peer.clock.known]

    def _prepared(self) -> None:
        """Every worker that is here has answered or had its time, and enough of them can take part."""
        self.talk.soon()
        most_ns = PREPARE_NS + self.settings.wait_ready_ns
        self._in_time(lambda: not self._unready(), most_ns)
        problems = self._failed(self.talk.here())
        for peer in self._unready():
            problems[f"{peer.name}: did not get ready within {most_ns / NS_PER_S:g} s, see its log"] = peer
        for peer in self._ready():
            assert peer.ready is not None
            for note in peer.ready.notes:
                self.record.note(note)
        ready = self._ready()
        if len(ready) < self.needed or not ready:
            few = f"{len(ready)} of {self.needed} workers are ready"
            advice = "see that every worker reaches the server"
            raise RefusedError("; ".join([few, *problems]), advice)
        self._go_on_without(problems)

    def _unready(self) -> list[Peer]:
        """Workers that are here and have yet to get ready, or to say why they cannot."""
        here = self.talk.here()
        settled = {peer.node for peer in (*self._ready(), *self._failed(here).values())}
        return [peer for peer in here if peer.node not in settled]

    def _failed(self, here: Iterable[Peer]) -> dict[str, Peer]:
        """Why workers that are here cannot take part."""
        found = {}
        for peer in here:
            if (why := self.target.unreachable_from(peer.hello.host)) is not None:
                found[f"{peer.name} {why}"] = peer  # before it sends to whatever is on its own loopback
            elif (error := peer.fault(self.step.index)) is not None:
                found[f"{peer.name}: {error}"] = peer
        return found

    def _go_on_without(self, problems: Mapping[str, Peer]) -> None:
        """They are sent home: Locust would give them users."""
        for problem, peer in problems.items():
            self.record.note(f"goes on without {problem}")
            self.talk.workers.refuse(peer, problem)

    def _lead(self, t0: int) -> None:
        """Until the step's length has passed, or the run is stopped."""
        length = self.step.length_ns
        while not self.stopping():
            at = self.talk.now - t0
            if length is not None and at >= length:
                return
            left_s = 0.1 if length is None else (length - at) / NS_PER_S
            self.talk.listen(max(min(0.1, left_s), 0.001))
            self.record.progress(self.talk.now - t0)
            here = self.talk.here()
            self._watch(here)
            if failed := self._failed(here):
                self._go_on_without(failed)
                here = self.talk.here()
            self._attend(here)
            if self._alone(here):
                return

    def _attend(self, here: Collection[Peer]) -> None:
        """Say who came and who went; a second waits for the windows of those that are here."""
        there = {peer.number: peer for peer in here if peer.number in self.joined}
        if there.keys() == self._there.keys():
            return
        if self._there:
            for number in sorted(there.keys() - self._there.keys()):
                self.record.voice.say(f"{there[number].name} has joined")
            for number in sorted(self._there.keys() - there.keys()):
                self.record.voice.say(f"{self._there[number].name} is gone")
        self._there = there
        self.record.expect(sorted(there))

    def _alone(self, here: Collection[Peer]) -> bool:
        if here:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now_ns()
        return self._alone_since is not None and now_ns() - self._alone_since > ALONE_NS

    def _watch(self, here: Collection[Peer]) -> None:
        self.record.diary.workers(here, self.talk.now)
        self.record.diary.look()
        death = self.target.watch()
        if death is not None:
            self.record.diary.server_restart(self.talk.now, death)
            self.record.note(f"the embedded Triton died: {death}\nit is started again")

    def _drain(self, leading: Leading) -> int:
        """Have every worker stop and answer; returns the instant (run's axis) at which sending ended."""
        end = leading.over_ns = self.talk.now
        early = {peer.number for peer in self.joined.values() if peer.is_done(self.step.index)}
        asked = 0
        deadline = now_ns() + self.step.drain_ns + OWED_NS
        while (owing := self._owing()) and now_ns() < deadline:
            if all(peer.is_done(self.step.index) for peer in self._living()):
                deadline = min(deadline, now_ns() + OWED_NS)  # only windows are still to come
            if now_ns() - asked > 500 * NS_PER_MS:
                asked = now_ns()
                self.talk.end_step(owing)
            self.talk.listen(0.02)
            self._watch(self.talk.here())
        stops = [
            peer.done.stopped_ns
            for number, peer in self.joined.items()
            if number not in early and peer.done is not None and peer.is_done(self.step.index)
            if peer.done.leases  # who had none sent nothing, and has stopped nothing
        ]
        answered = all(peer.is_done(self.step.index) for peer in self.joined.values())
        self.deserted = not answered and not self.talk.here()
        return min(end, *stops) if stops else end

    def _living(self) -> list[Peer]:
        """The workers of this step that can be counted on."""
        return [peer for peer in self.talk.here() if peer.number in self.joined]

    def _owing(self) -> dict[str, tuple[int, ...]]:
        """The living workers of this step that have not answered, or whose windows have not come: which."""
        here = self._living()
        for peer in here:
            if peer.done is not None and peer.is_done(self.step.index):
                self.record.timeline.last(peer.number, peer.done.last_seq)
        missing = self.record.timeline.missing()
        return {
            peer.node: tuple(missing.get(peer.number, ()))[:100]
            for peer in here
            if not peer.is_done(self.step.index) or peer.number in missing
        }

    def unsaved(self) -> list[Reason]:
        """The workers that could not save this step's requests, and why."""
        advice = "see that the worker can write to this folder and has space there, and measure again"
        return [
            Reason("results_incomplete", INVALID, self.step.name, f"{peer.name} {peer.done.unsaved}", advice)
            for peer in self.joined.values()
            if peer.done is not None and peer.is_done(self.step.index) and peer.done.unsaved is not None
        ]

    # Judgement

    def _close(self, t0: int, end: int, roster: Roster, view: ServerView, stopped: bool) -> StepOutcome:
        step, record, peers = self.step, self.record, self.joined
        length = step.length_ns
        end_ns = end - t0 if stopped or length is None else length
        roster.close(end_ns)
        done = {n: peer.done for n, peer in peers.items() if peer.is_done(step.index) and peer.done}
        answers = lost.Answers(
            end_ns,
            {number: one.stopped_ns - t0 for number, one in done.items()},
            {number: one.leases for number, one in done.items()},
            record.timeline.missing(),
        )
        account = lost.account(step, roster, self.reported, answers, self.seed, self._pause)
        record.diary.step_lost(step, t0 + end_ns, account.extra)
        hosts = {number: peer.hello.host for number, peer in peers.items()}
        result = record.timeline.close(step, t0, end if stopped else None, extra=account.extra, hosts=hosts)
        connections_lost = sum(one.connections_lost for one in done.values())
        splits, audits = view.after(result, connections_lost, self.settings)
        facts = facts_of(
            result,
            self.settings,
            audits=audits,
            ended=view.ended,
            stopped=stopped,
            absent=tuple(account.absent),
            silent=[n for n in {*roster.granted_workers(), *self.reported.by} if answers.silent(n)],
            names={number: peer.name for number, peer in peers.items()},
            clocks={peer.name: peer.clock_error_ns for _, peer in sorted(peers.items())},
            slots=self._slots_asked(),
            slots_off=self._slots_off(t0, end),
        )
        outcome = StepOutcome(
            result,
            judge(facts),
            splits,
            audits,
            view.versions,
            _views(peers, account.absent),
            [Gap(one.worker, one.from_ns, one.until_ns, one.arrivals) for one in account.absent],
        )
        record.flush()
        self.talk.leading = None
        return outcome

    def _pause(self) -> None:
        """Workers wait for a sign of the master, also while it counts."""
        self.talk.listen(0.001)

    def _slots_asked(self) -> int:
        return sum(flow.users or 0 for flow in self.step.flows if flow.process == CLOSED)

    def _slots_off(self, t0: int, end: int) -> tuple[int, ...]:
        """The seconds of the measurement (of the run) in which the workers' slots were not as many as asked
        for."""
        asked = self._slots_asked()
        if self.step.open_loop or not asked:
            return ()
        first = -(-(t0 + self.step.warm_up_ns) // NS_PER_S)
        return tuple(s for s in range(first, end // NS_PER_S) if self.slots.get(s, 0) != asked)


def _views(peers: Mapping[int, Peer], absent: Iterable[lost.Absent]) -> dict[int, WorkerView]:
    missing = {part.worker: part for part in absent}
    nothing = lost.Absent(None, 0, 0, 0, 0, 0)
    found = {}
    for number, peer in peers.items():
        part = missing.get(number, nothing)
        never = part.never_sent + part.overdue
        clock = peer.used_offset_ns, peer.clock_error_ns
        found[number] = WorkerView(peer.hello.address, *clock, never, part.unrecorded, part.never_sent)
    return found
