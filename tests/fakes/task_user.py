"""A user with a task, as users/triton_user.py runs it, without Locust."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from tests.rig import SIXTEEN
from triton_users.engine import Member, Pool
from triton_users.net import RpcError

Task = Callable[["TaskUser"], None]


class TaskUser:
    """Runs ``task`` turn by turn until it is killed."""

    def __init__(self, pool: Pool, task: Task) -> None:
        self.pool, self.task = pool, task
        self.member = Member()
        self.errors: list[BaseException] = []
        self.turns = 0
        self.greenlet = gevent.spawn(self._run)

    def infer(self, message: bytes = b"message", timeout_ns: int | None = None) -> bytes:
        return self.pool.infer(self.member, message, SIXTEEN, (), timeout_ns)

    def infer_async(self, message: bytes = b"message") -> gevent.Greenlet:
        """As TaskClient.async_infer."""
        made = gevent.spawn(self.infer, message)
        self.pool.promise(self.member)
        return made

    def _run(self) -> None:
        while True:
            self.pool.turn(self.member)
            self.turns += 1
            self.member.made_request = False
            try:
                self.task(self)
            except (RpcError, ValueError) as error:
                self.errors.append(error)
            finally:
                self.pool.turn_over(self.member)
            if not self.member.made_request:
                gevent.sleep(0)

    def kill(self) -> None:
        self.greenlet.kill()


def users(pool: Pool, task: Task, count: int) -> list[TaskUser]:
    made = [TaskUser(pool, task) for _ in range(count)]
    gevent.sleep(0)
    return made
