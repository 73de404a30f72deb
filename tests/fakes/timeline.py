"""Time that passes when the test says so, for whoever is given its clock and its timers."""

from __future__ import annotations

from collections.abc import Callable

import pytest


class FakeTime:
    """``patch`` puts its clock and timers into modules; ``run_until`` fires what is due, in order."""

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.timers: list[FakeTimer] = []

    def now_ns(self) -> int:
        return self.now

    def timer(self, callback: Callable[[], int | None]) -> FakeTimer:
        made = FakeTimer(callback)
        self.timers.append(made)
        return made

    def patch(self, monkeypatch: pytest.MonkeyPatch, *modules: object) -> None:
        for module in modules:
            monkeypatch.setattr(module, "now_ns", self.now_ns)
            if hasattr(module, "Timer"):
                monkeypatch.setattr(module, "Timer", self.timer)

    def run_until(self, at_ns: int) -> None:
        """Fire each timer at its instant."""
        while due := [t for t in self.timers if t.when is not None and t.when <= at_ns]:
            first = min(due, key=lambda t: t.when or 0)
            self.now = max(self.now, first.when or 0)
            first.fire()
        self.now = at_ns

    def freeze_until(self, at_ns: int) -> None:
        """Nothing runs meanwhile; then all that is overdue."""
        self.now = at_ns
        self.run_until(at_ns)


class FakeTimer:
    """As net.Timer."""

    def __init__(self, callback: Callable[[], int | None]) -> None:
        self._callback = callback
        self.when: int | None = None

    def at(self, when_ns: int) -> None:
        self.when = when_ns

    def stop(self) -> None:
        self.when = None

    def close(self) -> None:
        self.when = None

    def fire(self) -> None:
        self.when = None
        when = self._callback()
        if when is not None:
            self.when = when
