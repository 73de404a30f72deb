"""What a request takes where no step has told yet: one of each class, before the load and outside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gevent

from triton_users.clock import now_ns
from triton_users.engine.requests import INFER_PATH
from triton_users.inputs import InputError, Payloads
from triton_users.net import RpcError
from triton_users.options.settings import Settings
from triton_users.plan.steps import MIN_WARM_UP_NS, WARM_UP_LATENCIES
from triton_users.run.errors import RunError
from triton_users.run.models import source_for
from triton_users.run.target import Target
from triton_users.step import Step
from triton_users.units import NS_PER_S

LONG_NS = MIN_WARM_UP_NS // WARM_UP_LATENCIES
"""A latency up to here asks for no longer warm-up than the least one."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Sends to ``target`` what the user classes would send, with the run's ``seed``."""

    target: Target
    classes: Mapping[str, Any]
    settings: Settings
    seed: int

    def __call__(self, step: Step) -> int | None:
        """The longest latency (ns) of the step's classes; None where it cannot be known: users' own tasks,
        errors, no answer within the time that a drain has. Blocks the greenlet."""
        limit_s = self.settings.drain_ns / NS_PER_S
        try:
            longest: int | None = gevent.with_timeout(limit_s, self._longest_ns, step, timeout_value=None)
        except (RpcError, RunError, InputError):
            return None  # the step will meet it too, and say so
        return longest

    def _longest_ns(self, step: Step) -> int | None:
        return max((self._latency_ns(message) for message in self._messages(step)), default=None)

    def _messages(self, step: Step) -> Iterator[bytes]:
        for flow in step.flows:
            if flow.classes:
                spec = self.target.spec(flow.model, self.settings.model_version)
                source = source_for(self.classes[flow.user_class], spec, self.settings)
                bodies = Payloads.build(spec, flow.classes, source, 1, self.seed).bodies
                yield from (body.message for body in bodies)

    def _latency_ns(self, message: bytes) -> int:
        """A long one is asked for again: the first of all may have waited for the model to warm up. No
        deadline goes along, since a server may answer it by cancelling."""
        for _ in range(2):
            begun = now_ns()
            self.target.channel.call(INFER_PATH.decode(), message)
            latency = now_ns() - begun
            if latency <= LONG_NS:
                break
        return latency
