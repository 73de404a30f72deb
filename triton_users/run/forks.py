"""The children that Locust forks for --processes: they end with their parent, whatever its end is.

Locust forks after the options are read and before ``init``. A child left alone would wait for a master for
minutes, and join the next run on the same port.
"""

from __future__ import annotations

import os
import signal

from triton_users.process import end_with_parent


class Forks:
    """Whether this process is one of those children, and of which parent."""

    def __init__(self) -> None:
        self.of_master = False
        """The parent is the run's master, not one that only forks workers (--worker --processes)."""
        self._of_worker = False
        self._expected = False
        self._parent = 0

    def expect(self, *, worker: bool) -> bool:
        """Locust may fork from now on; ``worker``: this process was asked to be one itself. Whether this is
        the first word of it, here and in the parent."""
        first = not self._parent
        if first:
            os.register_at_fork(after_in_child=self._forked)
        self._parent, self._expected, self._of_worker = os.getpid(), True, worker
        return first

    def over(self) -> None:
        """``init``: whoever forks later has reasons of their own."""
        self._expected = False

    def _forked(self) -> None:
        if self._expected:
            self.of_master, self._expected = not self._of_worker, False
            end_with_parent(self._parent, signal.SIGTERM)  # not KILL: what is in flight is waited for


forks = Forks()
