"""What an option is, and what several options share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from triton_users.options import values

Parse = Callable[[str], Any]
GROUPS = ("Triton: the model", "Triton: the load", "Triton: the inputs", "Triton: the run")
MODEL, LOAD, INPUTS, RUN = GROUPS

HOST_ADVICE = "give Triton's gRPC address as HOST:8001"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``field`` is its name in ``Settings``; ``parse`` turns text into the field's value and
    raises ValueError with what is wrong; it is None for a flag. ``default`` is the field's value where
    neither the user nor the user class gives one. ``advice`` says what to do about a fault. ``in_form``: the
    web form has it; what writes where it is told to, or ends the process, is the command line's alone."""

    flags: tuple[str, ...]
    field: str
    parse: Parse | None
    default: Any
    group: str
    help: str
    metavar: str | None = None
    advice: str = ""
    repeat: bool = False
    in_form: bool = True

    @property
    def name(self) -> str:
        """The long form."""
        return next(flag for flag in self.flags if flag.startswith("--"))

    @property
    def dest(self) -> str:
        """The attribute in parsed options and the key in a user class's defaults."""
        return self.name[2:].replace("-", "_")

    @property
    def env_var(self) -> str:
        return "LOCUST_" + self.dest.upper()


def in_ms(minimum_ns: int) -> Parse:
    """A parser of durations whose bare numbers are milliseconds."""
    return lambda text: values.duration(text, "ms", minimum_ns)


def in_s(minimum_ns: int) -> Parse:
    """A parser of durations whose bare numbers are seconds."""
    return lambda text: values.duration(text, "s", minimum_ns)


DURATION = "<duration>"
ADVICE_MS = "write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer"
ADVICE_S = "write for example 500ms or 5s; a bare number is seconds"
