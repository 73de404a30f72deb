"""What was wrong with the options, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """``option`` as the user knows it, what is wrong with its value, and what to do."""

    option: str
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"{self.option}: {self.problem}. To do: {self.advice}."


class OptionError(Exception):
    """Raised with every fault of the options; its text has one line for each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))
