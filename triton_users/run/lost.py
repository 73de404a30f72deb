"""What no window tells: arrivals granted to nobody or in vain, and those of workers that fell silent.

Counted from the schedule itself: every arrival belongs to one lease or to none, so what a worker owed and has
not accounted for is known exactly. A worker that answered for everything and still leaves a difference leaves
it in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from triton_users.run.census import NOBODY, Census, Counts
from triton_users.run.intervals import Interval, without
from triton_users.run.reported import Reported, Said
from triton_users.run.roster import Roster, Span
from triton_users.stats.window import Key, Series
from triton_users.step import CLOSED, UNKNOWN_CLASS, Lease, Step


@dataclass(frozen=True, slots=True)
class Answers:
    """How the workers ended a step whose end is ``end_ns`` from t0: when each that answered stopped sending
    (ns from t0), the leases that had reached it, and whose windows are missing. Who has no stop fell silent;
    who stopped early has left."""

    end_ns: int
    stops: Mapping[int, int]
    leases: Mapping[int, Sequence[Lease]]
    gaps: Collection[int] = ()

    def until(self, worker: int) -> int:
        """Up to when its arrivals are its own."""
        return max(self.stops.get(worker, 0), self.end_ns)

    def whole(self, worker: int) -> bool:
        """Whether it has answered for everything."""
        return self.stops.get(worker, -1) >= self.end_ns and worker not in self.gaps

    def silent(self, worker: int) -> bool:
        """Whether it sent, perhaps, what nobody has recorded."""
        return worker not in self.stops or worker in self.gaps

    def came(self, worker: int) -> list[Interval]:
        """What it was granted and has got, if it has answered."""
        return [(lease.from_ns, lease.until_ns) for lease in self.leases[worker]]


@dataclass(frozen=True, slots=True)
class Absent:
    """What is missing of one worker (None: granted to nobody), of the measured trials: never sent, sent and
    not recorded, both as far as known, and ``overdue`` when it could have sent them; and in which part of the
    step (ns from t0) it was due."""

    worker: int | None
    never_sent: int
    unrecorded: int
    overdue: int
    from_ns: int
    until_ns: int

    @property
    def arrivals(self) -> int:
        return self.never_sent + self.unrecorded + self.overdue


@dataclass(slots=True)
class Account:
    """``extra`` goes into the step's result; ``absent`` says whose it was."""

    extra: dict[Key, Series] = field(default_factory=dict)
    absent: list[Absent] = field(default_factory=list)

    def add(self, key: Key, scheduled: int, lost: int) -> None:
        before = self.extra.get(key, Series())
        if scheduled or lost:
            self.extra[key] = Series(scheduled=before.scheduled + scheduled, lost=before.lost + lost)


def account(
    step: Step,
    roster: Roster,
    reported: Reported,
    answers: Answers,
    seed: int,
    pause: Callable[[], None] = lambda: None,
) -> Account:
    """What is to be added to the windows of a step whose roster is closed, so that its ledger closes.

    All its arrivals are counted once more: ``pause`` is called between pieces of that, for whoever must not
    be kept waiting. Windows that come meanwhile may still be reported.
    """
    total = Account()
    owned: dict[int, Counts] = {}
    census = Census(step, seed, answers.until, pause)
    for span in roster.spans:
        for worker, counts in census.count(span).items():
            owned.setdefault(worker, Counter()).update(counts)
    vain: dict[int, Counts] = {}
    for worker, lease in _in_vain(roster, answers):
        span = Span(lease.from_ns, lease.until_ns, (worker,))
        vain.setdefault(worker, Counter()).update(census.count(span, lease.k, lease.n)[worker])
    closed = {flow.name for flow in step.flows if flow.process == CLOSED}
    nobody = owned.pop(NOBODY, Counter())
    for key, count in nobody.items():
        total.add(key, count, count)
    if measured := _measured(nobody):
        hull = _hull(NOBODY, step, roster, Said(), answers)
        total.absent.append(Absent(None, measured, 0, 0, *hull))
    for worker in sorted(roster.granted_workers() | set(reported.by)):
        said, due = reported.by[worker], owned.get(worker, Counter())
        due.update(said.unplanned)
        due.update({key: count for key, count in said.scheduled.items() if key.flow in closed})
        in_vain = vain.get(worker, Counter()) if answers.whole(worker) else None
        never, unrecorded = _add(total, due, _like(said.scheduled, step), _like(said.ended, step), in_vain)
        if never or unrecorded or said.overdue:
            hull = _hull(worker, step, roster, said, answers)
            total.absent.append(Absent(worker, never, unrecorded, said.overdue, *hull))
    return total


def _in_vain(roster: Roster, answers: Answers) -> Iterator[tuple[int, Lease]]:
    """What was granted to workers that have answered for everything, and never reached them."""
    for span in roster.spans:
        for k, worker in enumerate(span.workers):
            if answers.whole(worker):
                granted = span.from_ns, min(span.until_ns, answers.until(worker))
                for start, end in without(granted, answers.came(worker)):
                    yield worker, Lease(roster.step, start, end, k, len(span.workers))


def _add(total: Account, due: Counts, said: Counts, ended: Counts, vain: Counts | None) -> tuple[int, int]:
    """One worker's part; how many it never sent and did not record, of the measured trials. ``vain`` is what
    never reached a worker that has answered for everything; None for one that has not."""
    never = unrecorded = 0
    for key in {*due, *said}:
        unsaid, unended = due[key] - said[key], said[key] - ended[key]
        lost = (unsaid, unended) if vain is None else (vain[key], 0)
        total.add(key, unsaid, sum(lost))
        if key.trial >= 0:
            never += lost[0]
            unrecorded += lost[1]
    return never, unrecorded


def _hull(worker: int, step: Step, roster: Roster, said: Said, answers: Answers) -> Interval:
    """From the first to the last of the arrivals of measured trials (ns from t0) that were granted to it and
    that it has lost, or not spoken of."""
    end = answers.until(worker)
    known = answers.came(worker) if answers.whole(worker) else said.heard
    gaps = list(said.missed)
    for span in roster.spans:
        if worker in (span.workers or (NOBODY,)):
            gaps += without((span.from_ns, min(span.until_ns, end)), known)
    measured = [(max(a, step.warm_up_ns), min(b, end)) for a, b in gaps if b > step.warm_up_ns]
    if not measured:  # all was sent: what was in flight at the end has no record
        return end, end
    return min(a for a, _ in measured), max(b for _, b in measured)


def _measured(counts: Counts) -> int:
    return sum(count for key, count in counts.items() if key.trial >= 0)


def _like(counts: Counts, step: Step) -> Counts:
    """Counts of tasks' classes under the one unknown class where the schedule knows no better."""
    unknown = {flow.name for flow in step.flows if flow.process != CLOSED and not flow.classes}
    found: Counts = Counter()
    for key, count in counts.items():
        found[Key(key.flow, UNKNOWN_CLASS, key.trial) if key.flow in unknown else key] += count
    return found
