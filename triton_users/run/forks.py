"""The children that Locust forks for --processes: they end with their parent, whatever its end is.

Locust forks after the options are read and before ``init``. A child left alone would wait for a master for
minutes, and join the next run on the same port.
"""

from __future__ import annotations

import os
import signal

from triton_users.process import end_with_parent


class Forks:
    """Whether this process is one of those children."""

    def __init__(self) -> None:
        self.child = False
        self._expected = False
        self._parent = 0

    def expect(self) -> None:
        """Locust may fork from now on."""
        if not self._parent:
            os.register_at_fork(after_in_child=self._forked)
        self._parent, self._expected = os.getpid(), True

    def over(self) -> None:
        """``init``: whoever forks later has reasons of their own."""
        self._expected = False

    def _forked(self) -> None:
        if self._expected:
            self.child, self._expected = True, False
            end_with_parent(self._parent, signal.SIGTERM)  # not KILL: what is in flight is waited for


forks = Forks()
