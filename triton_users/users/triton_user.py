"""TritonUser: says what to send (declarative), or sends it itself in Locust tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gevent
from locust import User, constant
from locust.env import Environment
from locust.exception import StopUser

from triton_users.engine import Member, census, pool_of
from triton_users.users.task_client import TaskClient
from triton_users.users.turns import Turns, has_wait_time

MAKING_S = 1.0
"""How long a user that is to go may take to make the request of its arrival."""

Inputs = Mapping[str, Any] | Callable[[Any, int], Mapping[str, Any]]


class TritonUser(User):
    """A Locust user that loads one model of a Triton server.

    Without tasks it is declarative: the engine sends requests made of the class's attributes, one in flight
    per user, or at the rate asked for. With ``@task`` methods it sends its own, by ``self.client.infer()``.

    ``model`` is the model's name (or --model). ``inputs`` are arrays by input name (of one sample, or with a
    leading axis of samples), or a function ``(rng, batch_size) -> {name: array with the batch axis}``; None
    makes them from the model's metadata. ``options`` are defaults of the command line's options, by their
    long names with underscores: ``{"batch_size": "1,8", "concurrency_range": "1:4"}``.
    """

    abstract = True
    model: ClassVar[str] = ""
    inputs: ClassVar[Inputs | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._name = type(self).__name__
        self._member = Member()
        self._pool = pool_of(self._name)
        if self.has_tasks():
            self._tasks = [entry for entry in self.tasks if entry is not TritonUser._hold_slot]
            self.client = TaskClient(self._pool, self._member)
            self.tasks = [TritonUser._run_tasks]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.tasks:
            cls.tasks = [TritonUser._hold_slot]

    @classmethod
    def has_tasks(cls) -> bool:
        """Whether users of this class send their own requests."""
        return any(entry is not TritonUser._hold_slot for entry in cls.tasks)

    @classmethod
    def has_own_wait_time(cls) -> bool:
        """Whether the class, or a TaskSet of it, says how long its users think between tasks."""
        return cls._thinks() or has_wait_time(cls.tasks)

    @classmethod
    def _thinks(cls) -> bool:
        return cls.wait_time is not TritonUser.wait_time

    def start(self, group: Any) -> Any:
        census.add(self._name, 1)
        greenlet = super().start(group)
        greenlet.link(lambda _: census.add(self._name, -1))
        return greenlet

    def stop(self, force: bool = False) -> bool:
        """A user that waits for its turn, or only holds a slot, has nothing to finish. One that is killed
        leaves the request that it waits for to be answered; that of an arrival it must have made."""
        with gevent.Timeout(MAKING_S, False):
            while self._member.arrival_ns:
                gevent.sleep(0.002)
        return bool(super().stop(force or self._member.waiting))

    def _hold_slot(self) -> None:
        """Declarative: the user only holds its slot; the engine sends."""
        self._member.wait()
        raise StopUser

    def _run_tasks(self) -> None:
        Turns(self, self._pool, self._member, self._tasks, waits=self._thinks()).run()
