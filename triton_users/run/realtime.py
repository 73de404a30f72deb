"""Real-time priority for the load (--realtime), where the system allows it."""

from __future__ import annotations

import os

PRIORITY = 10
"""Above all ordinary processes, below the kernel's own threads."""


class Realtime:
    """SCHED_FIFO while a step runs. Children do not inherit it: a server on this machine stays ordinary."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._refused = ""
        if wanted:
            self.on()
            self.off()

    def on(self) -> None:
        if self._wanted and not self._refused:
            try:
                policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
                os.sched_setscheduler(0, policy, os.sched_param(PRIORITY))
            except (OSError, AttributeError) as error:
                self._refused = (
                    f"--realtime is not allowed here ({error}); go on with ordinary priority. "
                    "It needs root, CAP_SYS_NICE or an rtprio limit (ulimit -r)."
                )

    def off(self) -> None:
        if self._wanted and not self._refused:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))

    def notes(self) -> tuple[str, ...]:
        """What the user must know."""
        return (self._refused,) if self._refused else ()
