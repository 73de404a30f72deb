"""Runs sensors, each in a thread of its own: what one does, blocks on or dies of concerns no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from triton_users.clock import Clock, now_ns
from triton_users.collect.sensor import RESTART, Absent, Failed, Note, Restart, Sample, Sensor
from triton_users.units import NS_PER_S

Emit = Callable[[Sequence[Sample | Note]], None]

RETRY_FIRST, RETRY_MOST = 1, 30
"""Intervals between two tries to open a sensor that failed: doubled each time, up to the second, or to what
is said of the sensor."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A sensor, how often it is asked, and how many intervals at most it waits to be opened again."""

    sensor: Sensor
    interval_ns: int = NS_PER_S
    retry_most: int = RETRY_MOST


class Sampler:
    """Samples at whole intervals after ``zero_ns``; times are ``clock`` − ``zero_ns``. ``emit`` is called
    from the sensors' threads and must not block."""

    def __init__(
        self, host: str, sensors: Sequence[Scheduled], emit: Emit, *, zero_ns: int = 0, clock: Clock = now_ns
    ) -> None:
        self._stop = threading.Event()
        self._loops = [Loop(host, one, emit, zero_ns, clock, self._stop) for one in sensors]
        self._threads = [
            threading.Thread(target=loop.run, name=f"sensor {loop.sensor.source}", daemon=True)
            for loop in self._loops
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Ask all to end, and wait so long for those that are in the middle of something."""
        self._stop.set()
        deadline = now_ns() + int(timeout_s * NS_PER_S)
        for thread in self._threads:
            thread.join(max(deadline - now_ns(), 0) / NS_PER_S)


class Loop:
    """One sensor's life: open, sample each interval, and after a failure close and try again."""

    def __init__(
        self, host: str, scheduled: Scheduled, emit: Emit, zero_ns: int, clock: Clock, stop: threading.Event
    ) -> None:
        self.sensor = scheduled.sensor
        self._host, self._interval_ns, self._retry_most = host, scheduled.interval_ns, scheduled.retry_most
        self._emit, self._zero_ns, self._clock, self._stop = emit, zero_ns, clock, stop
        self._said = ""
        self._faults: set[str] = set()

    def run(self) -> None:
        pause = RETRY_FIRST
        while not self._stop.is_set():
            try:
                self.sensor.open()
                self._sample_once()
                self._tell("back" if self._said == "failed" else "here")
                pause = RETRY_FIRST
                while self._wait():
                    self._sample_once()
            except Absent as error:
                self._tell("absent", str(error))
                return
            except Exception as error:  # whatever it is: one sensor's fault must not touch the others
                self._tell("failed", _sentence(error))
            finally:
                self.sensor.close()
            for _ in range(pause):
                self._wait()
            pause = min(2 * pause, self._retry_most)

    def _sample_once(self) -> None:
        now = self._clock()
        source, at = self.sensor.source, now - self._zero_ns
        found: list[Sample | Note] = []
        for one in self.sensor.sample(now):
            if isinstance(one, Restart):
                found.append(Note(source, self._host, RESTART, one.text, at))
                continue
            if one.values:
                found.append(Sample(source, self._host, at, one.labels, one.values, one.detail))
            if one.fault and one.fault not in self._faults:  # once: it may stay so
                self._faults.add(one.fault)
                found.append(Note(source, self._host, "failed", one.fault))
        if found and not self._stop.is_set():
            self._emit(found)

    def _wait(self) -> bool:
        """Until the next whole interval; False when it is time to end."""
        past = (self._clock() - self._zero_ns) % self._interval_ns
        return not self._stop.wait((self._interval_ns - past) / NS_PER_S)

    def _tell(self, state: str, text: str = "") -> None:
        if state != self._said and not self._stop.is_set():
            self._said = state
            self._emit([Note(self.sensor.source, self._host, state, text)])


def _sentence(error: Exception) -> str:
    if isinstance(error, Failed):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error}"
