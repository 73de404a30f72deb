"""When: numbered arrivals as a pure function of (process, rate, seed, stream), and the part a worker owns."""

from __future__ import annotations

from triton_users.schedule.arrivals import Arrivals
from triton_users.schedule.random import picks
from triton_users.schedule.schedule import Schedule, fingerprint

__all__ = ["Arrivals", "Schedule", "fingerprint", "picks"]
