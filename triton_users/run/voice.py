"""What a run says while it goes on: plain lines, and when to print which."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from triton_users.clock import now_ns
from triton_users.plan.sweep import PlannedStep, planned_duration_ns
from triton_users.report import console, progress
from triton_users.report import summary as summaries
from triton_users.report.outcome import RunOutcome
from triton_users.stats.lines import Line
from triton_users.step import Step
from triton_users.units import NS_PER_S

EVERY_NS = NS_PER_S
"""Between two lines of progress; on long measurements five times as much."""
LONG_NS = 60 * NS_PER_S


class Voice:
    """Prints to standard output; errors to standard error. Nothing here is costly while load runs."""

    def __init__(self) -> None:
        self._step: Step | None = None
        self._number = self._planned = 0
        self._told = 0
        self._line: Line | None = None

    def say(self, text: str) -> None:
        print(text, flush=True)

    def error(self, text: str) -> None:
        print(f"triton-users: {text}", file=sys.stderr, flush=True)

    def plan(self, plan: Sequence[PlannedStep], run_time_ns: int | None) -> None:
        """What will be measured, and how long that takes."""
        console.print_lines(progress.plan_lines(plan, planned_duration_ns(plan, run_time_ns)))

    def step(self, step: Step, number: int, planned: int) -> None:
        """A step begins."""
        self._step, self._number, self._planned = step, number, planned
        self._told = now_ns()
        self._line = None

    def line(self, line: Line) -> None:
        """A second has been merged."""
        self._line = line

    def progress(self, at_ns: int) -> None:
        """``at_ns`` of the step (from its t0) have passed."""
        assert self._step is not None
        length = self._step.length_ns
        every = EVERY_NS if length is not None and length < LONG_NS else 5 * EVERY_NS
        if at_ns < 0 or now_ns() - self._told < every:
            return
        self._told = now_ns()
        self.say(progress.progress_line(self._step, self._number, self._planned, at_ns, self._line))

    def result(self, outcome: RunOutcome, folder: str) -> None:
        """The final table."""
        console.print_result(summaries.build(outcome), folder)
