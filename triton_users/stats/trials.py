"""Which trial an instant belongs to, for one number and for a vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triton_users.stats.window import WARM_UP
from triton_users.step import Step

NO_TRIAL = -2
"""Of what no trial counts: after the end of the last trial, or after the stop. A user's own task may send
then, and the answers to what was sent before come then."""

FOREVER_NS = 2**62


class TrialAxis:
    """The axis of one step. Instants are on the clock on which ``t0_ns`` is given.

    The trial is -1 in the warm-up, else (at - t0 - warm_up) // interval, and NO_TRIAL once the last is over;
    with ``interval_ns`` None it is 0 until the stop. A request has two: of its arrival, to which it belongs,
    and of its completion, to whose rate it counts.
    """

    def __init__(self, step: Step | None, t0_ns: int) -> None:
        """``step`` None: all belongs to the warm-up."""
        self._interval = FOREVER_NS if step is None or step.interval_ns is None else step.interval_ns
        self._base = FOREVER_NS if step is None else t0_ns + step.warm_up_ns
        measured = None if step is None or step.interval_ns is None else step.max_trials * step.interval_ns
        self._end = FOREVER_NS if measured is None else self._base + measured

    def stop(self, at_ns: int) -> None:
        """The step ends here: what comes from here on belongs to no trial."""
        self._end = min(self._end, at_ns)

    def trial(self, at_ns: int) -> int:
        return NO_TRIAL if at_ns >= self._end else max((at_ns - self._base) // self._interval, WARM_UP)

    def trials(self, at_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """i8[n] -> i8[n]."""
        trial = np.maximum((at_ns - self._base) // self._interval, WARM_UP)
        return np.where(at_ns >= self._end, NO_TRIAL, trial)
