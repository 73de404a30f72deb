"""Users with tasks of their own, one flow of them, and what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.fakes.engine_load import run_until
from tests.fakes.task_user import Task, TaskUser, users
from tests.rig import Rig, flow, step
from triton_users.stats.window import Window
from triton_users.step import CLOSED, Flow, Step


def tasks(process: str = CLOSED, rate: float | None = None) -> Flow:
    return flow(process, rate=rate, classes=())


class Crowd:
    """Users of one flow, there before the first step begins, as Locust places them."""

    def __init__(self, rig: Rig, task: Task, count: int) -> None:
        self.rig = rig
        self.pool = rig.pool(tasks())
        self.users = users(self.pool, task, count)

    def run(
        self, process: str, rate: float | None, seconds: float, index: int = 0, drain: float = 5.0
    ) -> tuple[list[Window], Counter[str]]:
        return self.rig.run(self.step(process, rate, seconds, index), len(self.users), drain)

    def loop(self, true: Callable[[], bool], index: int = 0) -> tuple[list[Window], Counter[str]]:
        """In closed loop until something holds."""
        return run_until(self.rig, self.step(CLOSED, None, 1.0, index), len(self.users), true)

    def step(self, process: str, rate: float | None, seconds: float, index: int = 0) -> Step:
        return step(tasks(process, rate), index=index, interval=seconds)

    def planned(self, process: str, rate: float, seconds: float, index: int = 0) -> int:
        return self.rig.planned(step(flow(process, rate=rate), index=index, interval=seconds), 0, seconds)[
            "flow"
        ]

    @property
    def turns(self) -> int:
        return sum(user.turns for user in self.users)

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for user in self.users:
            user.kill()


def once(user: TaskUser) -> None:
    assert user.infer() == b"message"


def thrice(user: TaskUser) -> None:
    for _ in range(3):
        user.infer()
