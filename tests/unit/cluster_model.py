"""Workers and their master in made-up time: who runs when, which message arrives when, who sends what.

The master is Roster and lost.account themselves; a worker is its rule alone: it sends what it holds leases
for, when it runs, unless that is more than two seconds late: then it is lost. Grants are said once, as are
their answers, which may wait for a window; what is said again until it is heard crosses after a loss. A
task under a rate sends a second request for every third arrival. Times are ns from t0, which is a whole
second of the run.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate

from triton_users.run import lost
from triton_users.run.answer import LONGEST_NS, Answer, Owed
from triton_users.run.conversation import DEAF_NS, next_round
from triton_users.run.reported import Reported
from triton_users.run.roster import Roster
from triton_users.schedule import Schedule
from triton_users.stats.trials import TrialAxis
from triton_users.stats.window import Generator, Key, Series, Window
from triton_users.step import CONSTANT, UNKNOWN_CLASS, Flow, Lease, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

NEVER = 2**62
OVERDUE_NS = 2 * NS_PER_S
OWED_NS = 5 * NS_PER_S
PREPARE_NS = 300 * NS_PER_MS
SERVICE_NS = 20 * NS_PER_MS
SENT_NS = 50 * NS_PER_MS
"""After its cut a window leaves."""
CLASS = RequestClass("m", 1)
ALONE = ((CLASS, 1.0),)
MIX = ((CLASS, 2.0), (RequestClass("m", 8), 1.0))
Span = tuple[int, int]
Booked = defaultdict[int, Counter[tuple[Key, str]]]
"""By second: by key and the name of the count."""


@dataclass
class Machine:
    """Runs but for its pauses, until it dies; messages cross ``delay`` later: in a cut after it, in a loss
    after it or, said once, never."""

    pauses: list[Span] = field(default_factory=list)
    cuts: list[Span] = field(default_factory=list)
    losses: list[Span] = field(default_factory=list)
    dies: int = NEVER
    delay: int = NS_PER_MS
    joins: int = -NS_PER_S

    def acts(self, at: int) -> int:
        """The first instant from ``at`` on at which it runs; NEVER if it is dead by then."""
        for start, end in self.pauses:
            if start <= at < end:
                at = end
        return at if at < self.dies else NEVER

    def crosses(self, at: int, once: bool = False) -> int:
        """When a message sent at ``at`` is at the other end."""
        if at >= NEVER or (once and any(start <= at < end for start, end in self.losses)):
            return NEVER
        for start, end in sorted(self.cuts + self.losses):
            if start <= at < end:
                at = end
        return at + self.delay

    def answers(self, at: int) -> int:
        """When the master has the answer to what it sent at ``at``."""
        return self.crosses(self.acts(self.crosses(at)))

    @property
    def calm(self) -> bool:
        return not self.pauses and not self.cuts and not self.losses and self.dies == NEVER


@dataclass
class History:
    """One step with these workers; ``run`` plays it. With ``task_rate`` it has a second flow, of tasks."""

    workers: list[Machine]
    master: Machine = field(default_factory=Machine)
    length_s: float = 12.0
    rate: float = 10.0
    process: str = CONSTANT
    classes: tuple[tuple[RequestClass, float], ...] = ALONE
    task_rate: float = 0.0
    seed: int = 1
    sent: list[tuple[str, int]] = field(default_factory=list)
    sent_late: int = 0

    def __post_init__(self) -> None:
        flows = [Flow("f", "U", "m", self.process, self.rate, None, self.classes)]
        if self.task_rate:
            flows.append(Flow("g", "V", "m", self.process, self.task_rate, None, ()))
        self.step = Step(0, "s", tuple(flows), NS_PER_S, int((self.length_s - 1) * NS_PER_S), 1)
        self.axis = TrialAxis(self.step, 0)
        assert self.step.length_ns is not None
        self.length: int = self.step.length_ns
        self.roster = Roster(0, self.length)
        self.reported = Reported()
        self.gaps: set[int] = set()
        self.stops: dict[int, int] = {}
        self.came: dict[int, list[Lease]] = {}

    def planned(self) -> Counter[Key]:
        """What the schedules hold."""
        return Counter(
            Key(flow.name, cls, self.axis.trial(offset))
            for flow in self.step.flows
            for offset, cls in _arrivals(flow, self.seed, self.length)
        )

    def whole(self, number: int) -> bool:
        """Whether this worker has answered for everything."""
        return number in self.stops and number not in self.gaps

    def measured(self) -> Iterator[tuple[str, int, int]]:
        """(flow, index, offset) of the arrivals behind the warm-up."""
        for flow in self.step.flows:
            for index, (offset, _) in enumerate(_arrivals(flow, self.seed, self.length)):
                if offset >= self.step.warm_up_ns:
                    yield flow.name, index, offset

    def run(self) -> lost.Account:
        leases = self._grants()
        for number, machine in enumerate(self.workers):
            self._work(number, machine, leases[number])
        self.roster.close(self.length)
        answers = lost.Answers(self.length, self.stops, self.came, self.gaps)
        return lost.account(self.step, self.roster, self.reported, answers, self.seed)

    # The master

    def _grants(self) -> list[list[tuple[int, Lease]]]:
        """For each worker: (when it was sent, lease)."""
        given: list[list[tuple[int, Lease]]] = [[] for _ in self.workers]
        begun = [self._begun(machine) for machine in self.workers]
        beats: list[list[Span]] = [[] for _ in self.workers]
        heard = [0 for _ in self.workers]
        now = 0
        while now < self.length:
            for number, machine in enumerate(self.workers):
                if begun[number] <= now:
                    self.roster.heard(number, heard[number])
                beats[number].append(_beat(machine, now))
            for number, lease in self.roster.grant(now):
                given[number].append((now, lease))
            due = next_round(now)
            now = self.master.acts(due)
            pauses = [(start, end) for start, end in self.master.pauses if start <= due < end]
            deaf = sum(end - start for start, end in pauses)
            listened = min([due, *(start for start, _ in pauses)])  # a round comes before what has come
            if deaf > DEAF_NS:
                heard = [at + deaf for at in heard]
            for number, theirs in enumerate(beats):
                came = [sent for sent, at in theirs if at <= listened]
                heard[number] = max([heard[number], *came])
                beats[number] = [beat for beat in theirs if beat[1] > listened]
        return given

    def _begun(self, machine: Machine) -> int:
        """When the master knows that the worker has begun the step."""
        if machine.joins < 0:
            return 0
        knows_run = machine.answers(self.master.acts(machine.joins))
        ready = machine.crosses(machine.acts(machine.crosses(knows_run) + PREPARE_NS))
        return self.master.acts(machine.answers(ready))

    # A worker

    def _work(self, number: int, machine: Machine, given: list[tuple[int, Lease]]) -> None:
        limit = self.length + OWED_NS
        stop = machine.acts(machine.crosses(self.length))
        if machine.joins < self.length and machine.crosses(stop) < limit:
            self.stops[number] = stop
        came = [
            (has, lease)
            for sent_at, lease in given
            if (has := machine.acts(machine.crosses(sent_at, once=True))) < NEVER
        ]
        self.came[number] = [lease for _, lease in came]
        booked: Booked = defaultdict(Counter)
        overdue: defaultdict[int, list[int]] = defaultdict(list)
        for flow in self.step.flows:
            arrivals = _arrivals(flow, self.seed, self.length)
            for has, lease in came:
                first = bisect_left(arrivals, lease.from_ns, key=_offset)
                end = bisect_left(arrivals, lease.until_ns, key=_offset)
                for index in range(first + (lease.k - first) % lease.n, end, lease.n):
                    due, cls = arrivals[index]
                    if (at := machine.acts(max(due, has))) < NEVER and self._serve(
                        machine, booked, (flow, index, cls), due, at
                    ):
                        overdue[at // NS_PER_S].append(due)
        for second, counts in booked.items():
            cut = machine.acts((second + 1) * NS_PER_S)
            if machine.crosses(cut) < limit:
                self.reported.add(_window(number, second, counts, overdue[second]))
            elif number in self.stops:
                self.gaps.add(number)

    def _serve(
        self, machine: Machine, booked: Booked, arrival: tuple[Flow, int, RequestClass], due: int, at: int
    ) -> bool:
        """Whether it is overdue, and lost."""
        flow, index, cls = arrival
        if at - due > OVERDUE_NS:
            key = Key(flow.name, cls, self.axis.trial(due))
            booked[at // NS_PER_S][key, "scheduled"] += 1
            booked[at // NS_PER_S][key, "lost"] += 1
            return True
        self.sent.append((flow.name, index))
        self.sent_late += at - due > 0
        done = self._request(machine, booked, flow.name, cls, due, at)
        if not flow.classes and index % 3 == 0 and done < NEVER:
            trial = self.axis.trial(done)
            booked[done // NS_PER_S][Key(flow.name, UNKNOWN_CLASS, trial), "unplanned"] += 1
            self._request(machine, booked, flow.name, cls, done, done)
        return False

    def _request(
        self, machine: Machine, booked: Booked, flow: str, cls: RequestClass, due: int, at: int
    ) -> int:
        """When it is answered. A task's class shows when it sends."""
        key = Key(flow, CLASS if cls == UNKNOWN_CLASS else cls, self.axis.trial(due))
        booked[at // NS_PER_S][key, "scheduled"] += 1
        if (done := machine.acts(at + SERVICE_NS)) < NEVER:
            booked[done // NS_PER_S][key, "ok"] += 1
        return done


def _beat(machine: Machine, sent: int) -> Span:
    """The answer to a grant: what the worker must have lived to see, and when the master has it."""
    came = machine.acts(machine.crosses(sent, once=True))
    if came >= NEVER:
        return sent, NEVER
    cut = came + NS_PER_S - came % NS_PER_S
    if Answer().granted(Owed(sent, came), cut):
        return sent, machine.crosses(came, once=True)
    said = machine.acts(min(cut + SENT_NS, came + LONGEST_NS))
    return sent + said - came, machine.crosses(said, once=True)


@cache
def _arrivals(flow: Flow, seed: int, length: int) -> list[tuple[int, RequestClass]]:
    """(offset, class) by index."""
    assert flow.rate is not None
    found = Schedule(flow.process, flow.rate, seed, f"0/{flow.name}").arrivals(0, length)
    classes = flow.classes or ((UNKNOWN_CLASS, 1.0),)
    shares = list(accumulate(weight for _, weight in classes))
    drawn = [classes[bisect_right(shares, pick * shares[-1])][0] for pick in found.pick.tolist()]
    return list(zip(found.offset_ns.tolist(), drawn, strict=True))


def _offset(arrival: tuple[int, RequestClass]) -> int:
    return arrival[0]


def _window(worker: int, second: int, counts: Counter[tuple[Key, str]], lost_due: list[int]) -> Window:
    series: dict[Key, dict[str, int]] = {}
    unplanned = []
    for (key, name), count in counts.items():
        if name == "unplanned":
            unplanned.append((key.flow, key.trial, count))
        else:
            series.setdefault(key, {})[name] = count
    made = {key: Series(**named) for key, named in series.items()}
    generator = Generator(0, 0, 0, 0)
    start, end = second * NS_PER_S, (second + 1) * NS_PER_S
    between = (min(lost_due), max(lost_due)) if lost_due else None
    return Window(
        worker, second, second, 0, start, end, made, 0, 0, 0, generator, (), tuple(unplanned), between
    )


def random_history(number: int) -> History:
    """Up to five workers that die, freeze, are cut off and join at random, under a master that pauses."""
    draw = random.Random(number)

    def spans(chance: float, longest: float) -> list[Span]:
        if draw.random() >= chance:
            return []
        start = draw.uniform(0, 11)
        return [(int(start * NS_PER_S), int((start + draw.uniform(0.1, longest)) * NS_PER_S))]

    workers = [
        Machine(
            pauses=spans(0.3, 10),
            cuts=spans(0.3, 6),
            losses=spans(0.3, 6) + spans(0.3, 1),
            dies=int(draw.uniform(0, 14) * NS_PER_S) if draw.random() < 0.3 else NEVER,
            delay=int(draw.uniform(0.1, 40) * NS_PER_MS),
            joins=int(draw.uniform(0, 10) * NS_PER_S) if draw.random() < 0.3 else -NS_PER_S,
        )
        for _ in range(draw.randint(1, 5))
    ]
    return History(workers, Machine(pauses=spans(0.2, 6)), rate=6.0, classes=MIX, task_rate=4.0)
