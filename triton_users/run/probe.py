"""What a request takes where no step has told yet: one of each class, before the load and outside of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gevent

from triton_users.clock import now_ns
from triton_users.engine.requests import INFER_PATH
from triton_users.inputs import Payloads
from triton_users.options.settings import Settings
from triton_users.plan.steps import MIN_WARM_UP_NS, WARM_UP_LATENCIES
from triton_users.run.models import source_for
from triton_users.run.target import Target
from triton_users.step import Step
from triton_users.units import NS_PER_S

LIMIT_NS = 30 * NS_PER_S
"""For each answer. A server that takes longer is still at it when the step begins."""

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
        errors, no answer within LIMIT_NS. Blocks the greenlet."""
        longest: int | None = None
        try:
            for messages in self._messages(step):
                latency = self._latency_ns(messages)
                if latency is None:
                    break
                longest = max(longest or 0, latency)
        except Exception:  # of the user's own input functions, too
            return None  # the step will meet it as well, and say so
        return longest

    def _messages(self, step: Step) -> Iterator[list[bytes]]:
        """Requests of each class: two where there are as many."""
        for flow in step.flows:
            if flow.classes:
                spec = self.target.spec(flow.model, self.settings.model_version)
                source = source_for(self.classes[flow.user_class], spec, self.settings)
                bodies = Payloads.build(spec, flow.classes, source, 2, self.seed).bodies
                for index in range(len(flow.classes)):
                    yield [body.message for body in bodies if body.class_index == index]

    def _latency_ns(self, messages: list[bytes]) -> int | None:
        """A long one is asked for again, by another request, which no cache has answered yet: the first of
        all may have waited for the model to warm up."""
        first = self._asked_ns(messages[0])
        if first is None or first <= LONG_NS:
            return first
        second = self._asked_ns(messages[-1])
        return first if second is None else second

    def _asked_ns(self, message: bytes) -> int | None:
        """No deadline goes along, since a server may answer it by cancelling."""
        begun = now_ns()
        call = partial(self.target.channel.call, INFER_PATH.decode(), message)
        answer: bytes | None = gevent.with_timeout(LIMIT_NS / NS_PER_S, call, timeout_value=None)
        return None if answer is None else now_ns() - begun
