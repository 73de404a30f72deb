"""A timer as exact as the kernel's: timerfd, watched by the gevent loop, without spinning.

libev's own timers are rounded to milliseconds; a timerfd on CLOCK_MONOTONIC wakes the loop within some
tens of microseconds.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

import gevent

from triton_users.clock import SKEW_NS

CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


_libc = ctypes.CDLL(None, use_errno=True)


class Timer:
    """Calls ``callback`` in the hub at an absolute CLOCK_MONOTONIC instant; it must neither block nor raise,
    and returns the next instant, or None to disarm.

    Make one only after a fork: a timerfd inherited by children shares its ticks.
    """

    def __init__(self, callback: Callable[[], int | None]) -> None:
        self._fd: int = _libc.timerfd_create(CLOCK_MONOTONIC, NONBLOCK_CLOEXEC)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"timerfd_create: {os.strerror(code)}")
        self._spec = _TimerSpec()
        self._pointer = ctypes.byref(self._spec)
        self._watcher = gevent.get_hub().loop.io(self._fd, 1)
        self._callback = callback
        self._watcher.start(self._fired)

    def at(self, when_ns: int) -> None:
        """Arm for ``when_ns``; an instant in the past fires at once. Arming again also clears the last tick,
        so the descriptor is never read."""
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(when_ns - SKEW_NS, 1), 1_000_000_000)
        _libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, self._pointer, None)

    def stop(self) -> None:
        """Disarm."""
        self._spec.value.seconds = self._spec.value.nanoseconds = 0
        _libc.timerfd_settime(self._fd, 0, self._pointer, None)

    def _fired(self) -> None:
        try:
            when_ns = self._callback()
        except Exception:
            self.stop()  # the descriptor stays readable: it would fire for ever
            raise
        if when_ns is None:
            self.stop()
        else:
            self.at(when_ns)

    def close(self) -> None:
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1
