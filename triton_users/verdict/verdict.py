"""What a judgement consists of: reasons with advice, thresholds, and the exit code they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

INVALID: Final = "invalid"
DOUBTFUL: Final = "doubtful"
Severity = Literal["invalid", "doubtful"]

EXIT_OK = 0
EXIT_NOTHING_MEASURED = 2
EXIT_THRESHOLD_MISSED = 3
EXIT_INVALID = 4


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a result is invalid or doubtful. ``step`` is the step's name, None for the whole run."""

    code: str
    severity: Severity
    step: str | None
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition on a result. ``value`` is what was measured; ``passed`` None: it could not be decided.

    ``on_failures``: it limits the failed requests and so takes the place of Locust's rule for them.
    """

    expression: str
    value: float | None
    passed: bool | None
    on_failures: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """``stable`` is None where nobody looked (one trial)."""

    valid: bool
    stable: bool | None
    reasons: tuple[Reason, ...] = ()
    thresholds: tuple[Threshold, ...] = ()


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The run's verdict: valid if every step is; invalid if there is none."""
    parts = tuple(verdicts)
    if not parts:
        return Verdict(
            valid=False,
            stable=None,
            reasons=(
                Reason(
                    "nothing_measured",
                    INVALID,
                    None,
                    "the run ended before anything was measured",
                    "let it run through its warm-up, or shorten --warm-up and --measurement-interval",
                ),
            ),
        )
    known = [part.stable for part in parts if part.stable is not None]
    return Verdict(
        valid=all(part.valid for part in parts),
        stable=all(known) if known else None,
        reasons=tuple(reason for part in parts for reason in part.reasons),
        thresholds=tuple(threshold for part in parts for threshold in part.thresholds),
    )


def exit_code(verdict: Verdict | None, failures: int, on_error: int = 1) -> int:
    """The process's exit code: the gravest that applies.

    ``verdict`` None: options, locustfile or environment were wrong. ``failures`` counts failed requests of
    the whole run; ``on_error`` is Locust's --exit-code-on-error. Instability alone is no error.
    """
    if verdict is None:
        return EXIT_NOTHING_MEASURED
    outcomes = [threshold.passed for threshold in verdict.thresholds]
    if not verdict.valid or None in outcomes:
        return EXIT_INVALID
    if False in outcomes:
        return EXIT_THRESHOLD_MISSED
    ruled = any(threshold.on_failures for threshold in verdict.thresholds)
    return on_error if failures and not ruled else EXIT_OK
