"""The server's own account of a step: statistics before and after, and the audit."""

from __future__ import annotations

import gevent

from triton_users.clock import now_ns
from triton_users.net import RpcError
from triton_users.options.settings import Settings
from triton_users.run.target import Target
from triton_users.server.audit import Audit, audit
from triton_users.server.statistics import (
    Snapshot,
    Split,
    StatisticsResetError,
    composing_models,
    delta,
)
from triton_users.stats.result import StepResult
from triton_users.step import Step
from triton_users.units import NS_PER_S

REREAD_NS = 2 * NS_PER_S
"""Triton counts a request after it has answered it: the statistics are read again for so long."""


class ServerView:
    """Read ``before`` while nothing is in flight, and ``after`` the drain."""

    def __init__(self, target: Target, step: Step) -> None:
        self._target, self._step = target, step
        self._deaths = len(target.deaths)
        self._before: Snapshot | None = None
        self._problem: str | None = None
        self._connections_lost = 0
        self._late = False
        """A request that was given up before the step is answered in it."""
        self.versions: dict[str, str] = {}

    @property
    def _died(self) -> list[str]:
        """How the embedded server died during the step, each time."""
        return self._target.deaths[self._deaths :]

    @property
    def ended(self) -> str | None:
        """What became of the server during the step."""
        if self._died:
            return "died (" + self._died[-1].split("\n", 1)[0].split(";", 1)[0] + ")"
        if self._problem == RESTARTED:
            return "restarted"
        if self._connections_lost:
            return "broke off " + ("a connection" if self._connections_lost == 1 else "connections")
        return None

    def before(self) -> None:
        self._late = bool(self._target.channel.given_up)
        self._before = self._snapshot()

    def _snapshot(self) -> Snapshot | None:
        try:
            return Snapshot.of(self._target.ask.statistics())
        except RpcError as error:
            self._problem = f"the server's statistics could not be read ({error.status})"
            return None

    def after(
        self, result: StepResult, connections_lost: int, settings: Settings
    ) -> tuple[dict[str, Split], dict[str, Audit]]:
        """By model: what the server counted, and whether it agrees with us."""
        ours = _ours(result)
        self._connections_lost = connections_lost
        if self._died:  # the new one may have overtaken the old one's counts
            self._before, self._problem = None, RESTARTED
        skipped = None
        if connections_lost:
            skipped = "connections were lost"
        elif settings.request_timeout_ns is not None:
            skipped = "requests had deadlines"
        elif self._late:
            skipped = "a request from before the step was still open"
        deadline = now_ns() + REREAD_NS
        while True:
            splits, audits = self._compare(ours, skipped)
            settled = all(a.equal is not False for a in audits.values())
            if connections_lost:
                settled = all(splits[model].success_count >= ours[model].ok for model in splits)
            if settled or now_ns() >= deadline:
                break
            gevent.sleep(0.05)
        if not settled and connections_lost:
            # What these statistics are of is not all that we sent: no split of them tells of it.
            self._before, self._problem = None, INCOMPLETE
            return self._compare(ours, skipped)
        return splits, audits

    def _compare(
        self, ours: dict[str, _Ours], skipped: str | None
    ) -> tuple[dict[str, Split], dict[str, Audit]]:
        after = self._snapshot() if self._before is not None else None
        splits: dict[str, Split] = {}
        audits: dict[str, Audit] = {}
        for model, mine in ours.items():
            if self._before is not None and after is not None:
                try:
                    composing = composing_models(model, self._target.ask.config)
                    splits[model] = delta(self._before, after, model, composing=composing)
                except (StatisticsResetError, KeyError, RpcError):
                    if any(name == model for name, _ in self._before.models):
                        self._problem = RESTARTED
                self._version(after, model)
            if model in splits:
                audits[model] = audit(
                    mine.ok,
                    mine.inferences,
                    splits[model],
                    batch_sizes=mine.batch_sizes or {1},
                    ours_failed=mine.failed,
                    skipped=skipped,
                )
            elif mine.ok or self._problem is not None:  # else a name that the server does not know
                audits[model] = Audit(mine.ok, 0, mine.inferences, 0, None, self._problem or NO_STATISTICS)
        return splits, audits

    def _version(self, snapshot: Snapshot, model: str) -> None:
        versions = [version for name, version in snapshot.models if name == model]
        if len(versions) == 1:
            self.versions[model] = versions[0]


UNANSWERED = frozenset(("UNAVAILABLE", "NO_ANSWER", "NO_REQUEST", "CANCELLED", "DEADLINE_EXCEEDED"))
"""Failures that are not an answer of the model: the server counts no success for them."""

RESTARTED = "the server was restarted during the step"
INCOMPLETE = "the server's statistics lack requests that were answered (restarted, or one of several?)"
NO_STATISTICS = "the server has no statistics of the model"


class _Ours:
    """What we counted of one model, from idle to idle."""

    def __init__(self) -> None:
        self.ok = self.inferences = self.failed = 0
        self.batch_sizes: set[int] = set()


def _ours(result: StepResult) -> dict[str, _Ours]:
    found: dict[str, _Ours] = {flow.model: _Ours() for flow in result.step.flows if flow.model}
    for part in (result.unmeasured, result.totals):
        for (_, cls), series in part.items():
            if not cls.model:
                continue
            mine = found.setdefault(cls.model, _Ours())
            mine.ok += series.ok
            mine.inferences += series.inferences
            mine.failed += sum(n for status, n in series.failed.items() if status not in UNANSWERED)
            mine.batch_sizes.add(cls.batch_size)
    return found
