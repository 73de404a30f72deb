"""A user's task runs, one turn each: in closed loop one after the other, under a rate one for an arrival.

A TaskSet stays entered from one turn to the next, as in Locust; each of its tasks is a run of its own.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gevent
from locust import TaskSet, User
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.user.task import LOCUST_STATE_STOPPING

from triton_users.engine import Member, Pool
from triton_users.users.task_client import booked

log = logging.getLogger(__name__)
PASSED_ON = (StopUser, StopTest, RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet)
"""Exceptions by which Locust steers its users."""
MAX_COMPLAINTS = 20
_complaints: set[tuple[str, type, str]] = set()


def is_task_set(task: Any) -> bool:
    """Whether this entry of a user's or a TaskSet's ``tasks`` is a TaskSet."""
    return isinstance(task, type) and issubclass(task, TaskSet)


def has_wait_time(tasks: Sequence[Any]) -> bool:
    """Whether a TaskSet among these tasks, or within one, says itself how long its users think."""
    return any(
        task.wait_time is not TaskSet.wait_time or has_wait_time(task.tasks)
        for task in filter(is_task_set, tasks)
    )


class Turns:
    """The task runs of one user. ``tasks`` are its class's: functions of the user, and TaskSets. ``waits``:
    the user thinks between them, in closed loop."""

    def __init__(self, user: User, pool: Pool, member: Member, tasks: Sequence[Any], *, waits: bool) -> None:
        self._user: Any = user
        self._pool, self._member, self._tasks, self._waits = pool, member, tasks, waits
        self._held = False

    def run(self) -> None:
        """Locust's loop over the tasks without its detour over the hub after each of them, which would keep
        requests of several users from leaving together. Returns when the user is stopping."""
        while self._user._state != LOCUST_STATE_STOPPING:
            chosen = self._tasks[0] if len(self._tasks) == 1 else random.choice(self._tasks)
            try:
                if is_task_set(chosen):
                    self._enter(chosen, self._user)
                else:
                    self._serve(chosen, self._user)
            except RescheduleTaskImmediately:
                continue
            except RescheduleTask:
                pass
            if self._waits and not self._pool.under_rate:
                self._user.wait()

    def _enter(self, task_set: type[TaskSet], parent: Any) -> None:
        """Run a TaskSet until it interrupts. What its on_start sends belongs to its first task's turn."""
        self._take()
        try:
            entered: Any = task_set(parent)
            entered.execute_task = partial(self._execute, entered)
            entered.wait = partial(self._pause, entered.wait)
            entered.run()
        except PASSED_ON:
            raise
        except Exception as error:  # of its on_start or on_stop: its tasks' own do not come here
            self._failed(error)
        finally:
            self._end()

    def _execute(self, within: TaskSet, task: Any) -> None:
        """In the place of TaskSet.execute_task."""
        if is_task_set(task):
            self._enter(task, within)
        elif getattr(task, "__self__", None) is within:
            self._serve(task)
        else:
            self._serve(task, within)

    def _pause(self, wait: Callable[[], None]) -> None:
        """In the place of TaskSet.wait: under a rate the next arrival says when to go on."""
        if self._pool.under_rate:
            gevent.sleep(0)  # a TaskSet without tasks comes here only, again and again
        else:
            wait()

    def _take(self) -> None:
        if self._held:
            return
        if not self._member.made_request:
            gevent.sleep(0)  # the last turn may not have blocked anywhere
        self._pool.turn(self._member)
        self._held, self._member.made_request = True, False

    def _end(self) -> None:
        if self._held:
            self._held = False
            self._pool.turn_over(self._member)

    def _serve(self, task: Callable[..., None], *owner: Any) -> None:
        self._take()
        try:
            task(*owner)
        except PASSED_ON:
            raise
        except Exception as error:
            self._failed(error)
        finally:
            self._end()

    def _failed(self, error: Exception) -> None:
        if not booked(error):
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """As Locust does with a task's exception, but each kind is logged once: not thousands a second."""
        environment, name = self._user.environment, type(self._user).__name__
        environment.events.user_error.fire(user_instance=self._user, exception=error, tb=error.__traceback__)
        if not environment.catch_exceptions:
            raise error
        kind = (name, type(error), str(error))
        if kind not in _complaints and len(_complaints) < MAX_COMPLAINTS:
            _complaints.add(kind)
            log.error("%s raised (said once): %s", name, error, exc_info=error)
