"""What of the load lives in this process, where Locust's users find it."""

from __future__ import annotations

from collections.abc import Callable

from triton_users.engine.pool import Pool

_pools: dict[str, Pool] = {}


def pool_of(user_class: str) -> Pool:
    """The pool of a user class with tasks, one per process."""
    pool = _pools.get(user_class)
    if pool is None:
        pool = _pools[user_class] = Pool(user_class)
    return pool


class Census:
    """How many Locust users of each class are placed here. Users come and go before a run begins, too."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.changed: Callable[[str], None] = lambda user_class: None

    def add(self, user_class: str, change: int) -> None:
        """Users of a class have come (+1) or gone (-1)."""
        self.counts[user_class] = self.counts.get(user_class, 0) + change
        self.changed(user_class)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


census = Census()
