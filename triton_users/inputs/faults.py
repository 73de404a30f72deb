"""What is wrong with the inputs that a user asked for, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """Inputs or request classes that do not fit the model.

    ``faults`` holds one sentence for each fault; ``expected`` says what the model takes.
    """

    def __init__(self, faults: Sequence[str], expected: str = "") -> None:
        self.faults = tuple(faults)
        self.expected = expected
        super().__init__("\n".join((*self.faults, expected)) if expected else "\n".join(self.faults))


def check(faults: Sequence[str], expected: str = "") -> None:
    """Raises InputError if there is any fault."""
    if faults:
        raise InputError(faults, expected)
