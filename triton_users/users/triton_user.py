"""TritonUser: says what to send (declarative), or sends it itself in Locust tasks."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gevent
from locust import TaskSet, User, constant
from locust.env import Environment
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.user.task import LOCUST_STATE_STOPPING

from triton_users.client import InferenceServerException
from triton_users.engine import Member, census, pool_of
from triton_users.users.task_client import TaskClient

log = logging.getLogger(__name__)
PASSED_ON = (StopUser, StopTest, RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet)
"""Exceptions by which Locust steers its users."""
MAX_COMPLAINTS = 20
_complaints: set[tuple[str, type, str]] = set()

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
        """Whether the class says how long its users think between tasks."""
        return cls.wait_time is not TritonUser.wait_time

    def start(self, group: Any) -> Any:
        census.add(self._name, 1)
        greenlet = super().start(group)
        greenlet.link(lambda _: census.add(self._name, -1))
        return greenlet

    def stop(self, force: bool = False) -> bool:
        """A user that waits for its turn, or only holds a slot, has nothing to finish."""
        return bool(super().stop(force or self._member.waiting))

    def _hold_slot(self) -> None:
        """Declarative: the user only holds its slot; the engine sends."""
        self._member.wait()
        raise StopUser

    def _run_tasks(self) -> None:
        """Locust's loop over the tasks without its detour over the hub after each of them, which would keep
        requests of several users from leaving together."""
        while self._state != LOCUST_STATE_STOPPING:
            self._pool.turn(self._member)
            try:
                self._run(random.choice(self._tasks))
            except InferenceServerException as error:
                if not self._member.made_request:  # else booked where it ended, with status and message
                    self._complain(error)
            except PASSED_ON:
                raise
            except Exception as error:
                self._complain(error)
            finally:
                self._pool.turn_over(self._member)
            if not self._member.made_request:
                gevent.sleep(0)
            if self.has_own_wait_time() and not self._pool.under_rate:
                self.wait()

    def _complain(self, error: Exception) -> None:
        """As Locust does with a task's exception, but each kind is logged once: not thousands a second."""
        self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
        if not self.environment.catch_exceptions:
            raise error
        kind = (self._name, type(error), str(error))
        if kind not in _complaints and len(_complaints) < MAX_COMPLAINTS:
            _complaints.add(kind)
            log.error("%s raised (said once): %s", self._name, error, exc_info=error)

    def _run(self, chosen: Any) -> None:
        self._member.made_request = False
        if isinstance(chosen, type) and issubclass(chosen, TaskSet):
            chosen(self).run()
        else:
            chosen(self)
