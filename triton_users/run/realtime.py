"""How soon the load runs when it wakes up: a short time slice, or real-time priority (--realtime)."""

from __future__ import annotations

import ctypes
import os
import platform

PRIORITY = 10
"""Above all ordinary processes, below the kernel's own threads."""

SLICE_NS = 100_000
"""The least that Linux allows (sched(7), sched_setattr(2))."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_RESET_ON_FORK = 1


class _SchedAttr(ctypes.Structure):
    _fields_ = (
        *(("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64)),
        *(("nice", ctypes.c_int32), ("priority", ctypes.c_uint32), ("runtime", ctypes.c_uint64)),
        *(("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64)),
    )


def short_slice() -> bool:
    """Ask for short time slices, as any process may since Linux 6.12: one that has them need not wait for the
    end of another's slice, some 3 ms. Whether it was granted; children do not inherit it."""
    call = _SCHED_SETATTR.get(platform.machine())
    if call is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    size, nice = ctypes.sizeof(_SchedAttr), os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _SchedAttr(size, os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, SLICE_NS, 0, 0)
    return bool(ctypes.CDLL(None).syscall(call, 0, ctypes.byref(wanted), 0) == 0)


class Realtime:
    """SCHED_FIFO while a step runs. Children do not inherit it: a server on this machine stays ordinary."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._refused = ""
        if wanted:
            self.on()
            self.off()
        if not wanted or self._refused:
            short_slice()

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
