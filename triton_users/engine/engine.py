"""The load on one worker: drives the lanes through a step and cuts their results into windows.

It knows no Locust and sends no messages: windows go to ``emit``, and whoever owns the engine calls it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Any

import gevent

from triton_users.clock import now_ns, process_cpu_ns
from triton_users.engine.gaps import spare
from triton_users.engine.here import census
from triton_users.engine.lane import Lane
from triton_users.engine.unanswered import Unanswered
from triton_users.net import Timer
from triton_users.stats.recorder import Recorder
from triton_users.stats.window import Generator, Window
from triton_users.step import Lease, Step
from triton_users.units import NS_PER_MS, NS_PER_S

LOOK_NS = 100 * NS_PER_MS
"""How often it is looked whether requests end, and whether there are enough to fold."""
FOLD = 2500
"""Requests folded at a time: half a millisecond for the first, since the code has left the processor's
caches, and 0.1 µs for each. What is less waits for the window's cut."""
HEARTBEAT_S = 0.02
STALL_NS = 5 * NS_PER_MS
"""A heartbeat later than this is a stall of the loop."""


class Engine:
    """Measures step after step of one run. ``last_seq`` is the number of the last window emitted."""

    def __init__(self, recorder: Recorder, emit: Callable[[Window], None]) -> None:
        self.worker = 0
        self._recorder = recorder
        self._emit = emit
        self._zero = 0
        self._lanes: Sequence[Lane] = ()
        self._cap = 0
        self._deadline = 0
        self._step: Step | None = None
        self._seq = 0
        self._timer = Timer(self._tick)
        self._health = Health()
        self._unanswered = Unanswered(LOOK_NS)
        self._asked = False
        self._ended = recorder.ended
        census.changed = self._placed
        self._in_flight_start = 0

    # Driven by the worker

    def begin(
        self, step: Step, zero_ns: int, t0_ns: int, lanes: Sequence[Lane], worker: int, cap: int
    ) -> None:
        """Arm a step that starts ``t0_ns`` after the run's zero, which is ``zero_ns`` on this machine's clock
        for the whole step, as worker number ``worker``, whose part of the run's in-flight cap is ``cap``.
        Nothing may be in flight."""
        self._step, self._lanes, self._zero = step, lanes, zero_ns
        self.worker, self._cap = worker, cap
        t0_ns += zero_ns
        self._recorder.begin(step, t0_ns)
        for lane in lanes:
            lane.begin(step, t0_ns, worker)
            lane.users(census.counts.get(lane.flow.user_class, 0))
        gc.disable()
        self._in_flight_start = self.in_flight
        self._asked = False
        now = now_ns()
        self._window_start = now
        self._health.start(now)
        self._unanswered.start(now, t0_ns + step.warm_up_ns)
        self._timer.at(self._next_tick(now))

    def lease(self, lease: Lease) -> None:
        """May send in this span of the step."""
        for lane in self._lanes:
            lane.lease(lease)

    def stop(self) -> int:
        """Send nothing more in this step. Returns the instant (ns, the run's axis)."""
        now = now_ns()
        for lane in self._lanes:
            lane.stop(now)
        self._recorder.stop(now)
        self._unanswered.stop()
        return now - self._zero

    def finish(self, drain_ns: int) -> None:
        """Wait for what is in flight, at most ``drain_ns``; then what has no answer has failed. Blocks the
        greenlet; the last window is emitted."""
        self._deadline = now_ns() + drain_ns
        while self.unfinished and now_ns() < self._deadline:
            gevent.sleep(0.002)
        for lane in self._lanes:
            lane.settle()
        self._timer.stop()
        self._cut(now_ns())
        for lane in self._lanes:
            lane.close()
        self._lanes = ()
        self._health.stop()
        gc.enable()
        gc.collect()  # here, and not before a step: it takes a good part of the time until t0
        self._step = None

    def share(self, cap: int) -> None:
        """This worker's part of the run's in-flight cap is ``cap`` from now on."""
        self._cap = cap

    def hurry(self, drain_ns: int) -> None:
        """While it finishes: wait for so long from now on, not for longer."""
        self._deadline = min(self._deadline, now_ns() + drain_ns)

    def _placed(self, user_class: str) -> None:
        for lane in self._lanes:
            if lane.flow.user_class == user_class:
                lane.users(census.counts[user_class])

    def close(self) -> None:
        """The run is over."""
        self._timer.close()

    @property
    def last_seq(self) -> int:
        return self._seq - 1

    @property
    def cut_ns(self) -> int | None:
        """When the window under way is to be cut, on this machine's clock; None outside a step."""
        if self._step is None:
            return None
        return self._window_start + NS_PER_S - (self._window_start - self._zero) % NS_PER_S

    @property
    def in_flight(self) -> int:
        return sum([lane.in_flight for lane in self._lanes])

    @property
    def unfinished(self) -> int:
        return sum([lane.unfinished for lane in self._lanes])

    def room_for(self) -> int:
        """How many more requests this worker's share of the cap has room for."""
        return self._cap - sum([lane.occupied for lane in self._lanes])

    # Windows

    def _next_tick(self, now: int) -> int:
        return now + LOOK_NS - (now - self._zero) % LOOK_NS

    def _tick(self) -> int | None:
        if self._step is None:
            return None
        now = now_ns()
        if not self._asked:
            self._asked = True
            spare.ask(self._look, now)
        return self._next_tick(now)

    def _look(self) -> None:
        self._asked = False
        if self._step is None:
            return
        now = now_ns()
        if (now - self._zero) // NS_PER_S > (self._window_start - self._zero) // NS_PER_S:
            self._cut(now)
        else:
            self._account(now)
            if self._recorder.unfolded >= FOLD:
                self._recorder.fold()

    def _account(self, now: int) -> None:
        for lane in self._lanes:
            lane.account()
        ended, self._ended = self._ended, self._recorder.ended
        self._unanswered.look(now, self.in_flight, ended != self._ended)

    def _cut(self, now: int) -> None:
        assert self._step is not None
        self._account(now)
        series, messages = self._recorder.cut()
        in_flight = self.in_flight
        lost, unanswered = self._recorder.cut_lost_between(), self._unanswered.cut()
        window = Window(
            worker=self.worker,
            seq=self._seq,
            second=(self._window_start - self._zero) // NS_PER_S,
            step=self._step.index,
            start_ns=self._window_start - self._zero,
            end_ns=now - self._zero,
            series=series,
            in_flight_start=self._in_flight_start,
            in_flight_end=in_flight,
            users=census.total,
            generator=self._health.cut(now),
            messages=messages,
            unplanned=self._recorder.cut_unplanned(),
            lost_between_ns=self._on_axis(lost),
            unanswered_ns=self._on_axis(unanswered),
        )
        self._seq += 1
        self._window_start, self._in_flight_start = now, in_flight
        self._emit(window)

    def _on_axis(self, span: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if span is None else (span[0] - self._zero, span[1] - self._zero)


class Health:
    """What the generator says of itself: CPU, stalls of its loop, garbage collections."""

    def __init__(self) -> None:
        self._heart: Any = None
        self._collections = 0

    def start(self, now: int) -> None:
        self._since, self._cpu = now, process_cpu_ns()
        self._worst = self._stalls = self._collections = 0
        self._beat_at = now
        self._heart = gevent.get_hub().loop.timer(HEARTBEAT_S, HEARTBEAT_S)
        self._heart.start(self._beat)
        gc.callbacks.append(self._collected)

    def stop(self) -> None:
        self._heart.stop()
        self._heart.close()
        gc.callbacks.remove(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        self._collections += phase == "stop"

    def _beat(self) -> None:
        now = now_ns()
        stall = now - self._beat_at - int(HEARTBEAT_S * NS_PER_S)
        self._beat_at = now
        if stall > STALL_NS:
            self._stalls += 1
        self._worst = max(self._worst, stall)

    def cut(self, now: int) -> Generator:
        """The figures since the last cut."""
        cpu, elapsed = process_cpu_ns(), max(now - self._since, 1)
        cut = Generator((cpu - self._cpu) / elapsed, max(self._worst, 0), self._stalls, self._collections)
        self._since, self._cpu = now, cpu
        self._worst = self._stalls = self._collections = 0
        return cut
