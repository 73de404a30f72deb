"""What the audits of a step's models say together."""

from __future__ import annotations

import pytest

from triton_users.run import judging
from triton_users.run.judging import audited
from triton_users.server.audit import Audit

REQUESTS = "successful requests"
SAME = Audit(10, 10, 80, 80, True)
TOLERATED = Audit(10, 13, 10, 13, True)  # errors that the server counts as successes
MORE = Audit(10, 12, 80, 96, False)
LESS = Audit(12, 10, 12, 10, False)
INFERENCES = Audit(10, 10, 80, 72, False)
MORE_INFERENCES = Audit(10, 10, 72, 80, False)
SKIPPED = Audit(10, 0, 80, 0, None, "connections were lost")


@pytest.mark.parametrize(
    ("audits", "found"),
    [
        ([], (None, None, "")),
        ([SKIPPED], (None, None, "")),
        ([SAME, TOLERATED], (20, 20, REQUESTS)),
        ([SAME, MORE], (10, 12, REQUESTS)),
        ([MORE, MORE], (20, 24, REQUESTS)),
        ([MORE, LESS, MORE], (20, 24, REQUESTS)),
        ([MORE, LESS], (10, 12, REQUESTS)),
        ([SAME, INFERENCES], (80, 72, "inferences")),
        ([INFERENCES, LESS], (12, 10, REQUESTS)),
        ([MORE_INFERENCES, INFERENCES], (72, 80, "inferences")),
    ],
)
def test_the_models_that_differ_are_what_is_told(
    audits: list[Audit], found: tuple[int | None, int | None, str]
) -> None:
    assert audited(audits) == found


def test_neighbouring_seconds_are_one_stretch() -> None:
    assert judging._stretches((3, 5, 6, 7, 9)) == ("3", "5 to 7", "9")
    assert judging._stretches(()) == ()
