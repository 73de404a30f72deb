"""Interleaved rounds: every peer of every case once a round, in an order that rotates from round to round."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks.measurement import Bench, Case, Measurement, Peer, PeerError, Timing
from benchmarks.server import Server, ServerDeathError

TRIES = 3
"""Of one measurement, the first included."""
DEATHS = 10
"""Of Triton in the whole run; then the bench gives up."""
OVERHEAD_S = 5.0
"""Start and end of a peer around its load: a first guess, replaced by what is seen."""


@dataclass(frozen=True, slots=True)
class Job:
    round: int
    case: Case
    peer: str

    @property
    def key(self) -> tuple[str, str]:
        return self.case.name, self.peer


@dataclass(slots=True)
class Results:
    """What was measured so far: by (case, peer) one entry a round, and what went wrong on the way."""

    rounds: int
    found: dict[tuple[str, str], list[Measurement | None]] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)
    complete: bool = False

    def store(self, job: Job, measurement: Measurement) -> None:
        self.found.setdefault(job.key, [None] * self.rounds)[job.round] = measurement


def rotated(peers: Sequence[str], by: int) -> list[str]:
    """``peers`` beginning with another one for each ``by``, so that none always follows the same."""
    start = by % len(peers)
    return [*peers[start:], *peers[:start]]


def jobs(cases: Sequence[Case], rounds: int, peers: Mapping[str, Peer]) -> list[Job]:
    """All measurements in order; those of absent peers are left out, those done ``once`` come last."""
    found = []
    for number in range(rounds):
        for case in cases:
            there = [peer for peer in case.peers if peer in peers]
            if there and not case.once:
                found += [Job(number, case, peer) for peer in rotated(there, number)]
    once = [Job(0, case, peer) for case in cases if case.once for peer in case.peers if peer in peers]
    return found + once


class Remaining:
    """How long the jobs left will take: as long as the same (case, peer) took before, else a guess."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._spent_s: dict[tuple[str, str], list[float]] = {}

    def spent(self, job: Job, seconds: float) -> None:
        self._spent_s.setdefault(job.key, []).append(seconds)

    def seconds(self, left: Sequence[Job]) -> float:
        return sum(self._expected_s(job) for job in left)

    def _expected_s(self, job: Job) -> float:
        if job.key in self._spent_s:
            return fmean(self._spent_s[job.key])
        timing = self._timing.stretched(job.case.stretch)
        return (timing.memory_s if job.case.once else timing.load_s) + OVERHEAD_S


class Runner:
    """Runs the jobs one after the other; a dead Triton is noted, started again, and the job repeated."""

    def __init__(
        self,
        server: Server,
        peers: Mapping[str, Peer],
        timing: Timing,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self._server, self._peers, self._timing = server, peers, timing
        self._folder, self._say = folder, say

    def run(self, work: Sequence[Job], results: Results) -> None:
        """Fills ``results`` as it goes, so that an interrupted run keeps what it has."""
        remaining = Remaining(self._timing)
        for number, job in enumerate(work):
            begun_s = time.monotonic()
            measurement = self._measure(job, results)
            remaining.spent(job, time.monotonic() - begun_s)
            if measurement is not None:
                results.store(job, measurement)
            left_min = remaining.seconds(work[number + 1 :]) / 60
            head = f"[{number + 1}/{len(work)}] round {job.round + 1} {job.case.name} {job.peer}"
            self._say(f"{head}: {line_of(measurement)} · {left_min:.1f} min left")
        results.complete = True

    def _measure(self, job: Job, results: Results) -> Measurement | None:
        where = f"round {job.round + 1}, {job.case.name}, {job.peer}"
        for attempt in range(TRIES):
            try:
                measurement = self._once(job, attempt)
                self._server.check()
            except PeerError as failure:
                results.incidents.append(f"{where}: {failure}")
                self._say(results.incidents[-1])
                self._revive(results, where)
            except ServerDeathError as death:
                results.incidents.append(f"{where}: Triton died, started again: {death}")
                self._say(results.incidents[-1])
                self._revive(results, where)
            else:
                results.incidents += [f"{where}: {note}" for note in measurement.notes]
                return measurement
        return None

    def _once(self, job: Job, attempt: int) -> Measurement:
        folder = self._folder / f"{job.case.name}-{job.peer}-{job.round}-{attempt}"
        folder.mkdir(parents=True)
        bench = Bench(self._server, folder, self._timing.stretched(job.case.stretch))
        try:
            return self._peers[job.peer].run(job.case, bench)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _revive(self, results: Results, where: str) -> None:
        """A peer may have failed because the server was dying: look again, and start it where it is gone."""
        try:
            self._server.check()
            self._server.quiet("")
        except ServerDeathError:
            if self._server.deaths >= DEATHS:
                results.incidents.append(f"{where}: Triton died {self._server.deaths} times; given up")
                raise
            self._server.restart()


def line_of(found: Measurement | None) -> str:
    """One measurement in a line."""
    if found is None:
        return "no figures"
    parts = []
    if found.requests_per_s is not None and found.cpu_us_per_request is not None:
        parts.append(f"{found.requests_per_s:,.0f}/s, {found.cpu_us_per_request:,.1f} µs CPU")
    if found.p50_ns is not None:
        parts.append(f"p50 {found.p50_ns / 1e3:,.0f} µs")
    if found.send_lag_p99_ns is not None and found.late_ratio is not None:
        parts.append(f"send lag p99 {found.send_lag_p99_ns / 1e3:,.0f} µs, late {found.late_ratio:.3%}")
    if found.first_request_s is not None:
        parts.append(f"first request after {found.first_request_s:.2f} s")
    if found.rss_slope_mb_per_min is not None:
        parts.append(f"{found.rss_slope_mb_per_min:+.2f} MB/min")
    return ", ".join(parts)
