"""The run as it goes: the last merged second, the step so far, the seconds before for the plots, and what the
sensors said last.

Fed once a second with the merged line, on the loop that may carry the load too: about 0.2 ms each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triton_users.run.master import Run
from triton_users.sinks.events import OPEN_LOOP
from triton_users.stats.histogram import merge, percentile
from triton_users.stats.lines import Line, line_series
from triton_users.stats.window import LATENCY, SEND_LAG, SERVICE_LATENCY, Series
from triton_users.units import NS_PER_S
from triton_users.web.samples import Samples
from triton_users.web.workers import Workers

SHOWN_S = 900
"""So many seconds are kept for the plots."""
SHORT_NS = NS_PER_S // 2
"""A rate over less than this says nothing: the first or last moment of a step."""

COUNTS = ("scheduled", "ok", "failed", "dropped", "lost", "late")


@dataclass(frozen=True, slots=True)
class Second:
    """One merged second of a step. ``rates`` are per second, ``latencies`` in ns; what was not measured, and
    the offered rate and send lag of a closed loop, is None."""

    step: int
    second: int
    end_ns: int
    rates: Mapping[str, float | None]
    latencies: Mapping[str, int | None]
    counts: Mapping[str, int]
    in_flight: int

    def as_json(self, number: int) -> dict[str, Any]:
        """``number`` tells a page which seconds it has not seen."""
        return {
            "number": number,
            "step": self.step,
            "second": self.second,
            "end_s": self.end_ns / NS_PER_S,
            **self.rates,
            **self.latencies,
            **self.counts,
            "in_flight": self.in_flight,
        }


@dataclass(slots=True)
class Live:
    """Follows one run after the other; ``finished`` is the results folder of the last that has ended."""

    run: Run | None = None
    samples: Samples = field(default_factory=Samples)
    workers: Workers = field(default_factory=Workers)
    total: dict[str, int] = field(default_factory=dict)
    """Counts of the step so far, warm-up included."""
    cpu: dict[int, float] = field(default_factory=dict)
    """Each worker's share of one processor in the last second; of those before it nobody asks."""
    _seconds: dict[tuple[int, int], Second] = field(default_factory=dict)
    _shown: deque[tuple[int, tuple[int, int]]] = field(default_factory=deque)
    _number: int = 0
    _step: int = -1
    _t0s_ns: dict[int, int] = field(default_factory=dict)
    """When (run's axis) each step's load began: its first second begins before."""
    _folder_before: Path | None = None

    def follow(self, run: Run) -> None:
        """This run is next."""
        self._folder_before = self.folder
        self.run = run
        self.total = dict.fromkeys(COUNTS, 0)
        self._seconds, self._shown, self._step = {}, deque(), -1
        self.cpu, self._t0s_ns = {}, {}
        self.workers = Workers()
        run.record.listen(self.add)
        self.samples = Samples()
        run.record.listen_to_samples(self.samples.add)

    @property
    def folder(self) -> Path | None:
        """Where the results of the last finished run lie."""
        if self.run is not None and self.run.finished.is_set() and self.run.outcome is not None:
            return self.run.record.folder.path
        return self._folder_before

    @property
    def last(self) -> Second | None:
        """The newest second of the step that goes on."""
        known = [second for second in self._seconds.values() if second.step == self._step]
        return max(known, key=lambda second: second.second, default=None)

    def since(self, number: int) -> list[dict[str, Any]]:
        """The seconds that came or changed after the one of this number."""
        return [
            self._seconds[place].as_json(at)
            for at, place in self._shown
            if at > number and place in self._seconds
        ]

    def add(self, line: Line) -> None:
        """Take a merged line; a later revision replaces its second, also one of a step that is over."""
        assert self.run is not None
        self._note_t0(self.run)
        budget = self.run.settings.latency_threshold_ns is not None
        second = _second(line, self._t0s_ns.get(line["step"], 0), budget=budget)
        place = (second.step, second.second)
        before = self._seconds.get(place)
        if second.step > self._step:
            self._step = second.step
            self.total = dict.fromkeys(COUNTS, 0)
        if second.step == self._step:
            for name, count in second.counts.items():
                self.total[name] += count - (before.counts[name] if before else 0)
        self._seconds[place] = second
        if self.last is second:
            self.cpu = {one["worker"]: one["cpu_ratio"] for one in line["generators"]}
        self.workers.add(line)
        self._number += 1
        self._shown.append((self._number, place))
        while len(self._shown) > SHOWN_S:
            _, oldest = self._shown.popleft()
            if all(oldest != place for _, place in self._shown):
                del self._seconds[oldest]

    def _note_t0(self, run: Run) -> None:
        position = run.record.position
        if position is not None and position.t0_ns is not None:
            self._t0s_ns[position.step.index] = position.t0_ns - run.zero_ns


def _second(line: Line, t0_ns: int, *, budget: bool) -> Second:
    series = list(line_series(line).values())
    open_loop = bool(line.get(OPEN_LOOP))
    length_ns = line["end_ns"] - max(line["start_ns"], t0_ns)

    def rate(count: int, known: bool = True) -> float | None:
        return count * NS_PER_S / length_ns if known and length_ns >= SHORT_NS else None

    counts = {name: sum(getattr(one, name) for one in series) for name in COUNTS if name != "failed"}
    counts["failed"] = sum(sum(one.failed.values()) for one in series)
    send_lag = _percentiles("send_lag", _merged(series, SEND_LAG), (99,))
    return Second(
        step=line["step"],
        second=line["second"],
        end_ns=line["end_ns"],
        rates={
            "request_rate": rate(counts["scheduled"], open_loop),
            "achieved_request_rate": rate(sum(one.completed for one in series)),
            "goodput_rate": rate(sum(one.good for one in series), budget),
            "inference_rate": rate(sum(one.completed_inferences for one in series)),
        },
        latencies={
            **_percentiles("latency", _merged(series, LATENCY), (50, 90, 99)),
            **_percentiles("service_latency", _merged(series, SERVICE_LATENCY), (50, 99)),
            **(send_lag if open_loop else dict.fromkeys(send_lag)),
        },
        counts=counts,
        in_flight=line["in_flight"],
    )


def _merged(series: Iterable[Series], name: str) -> Any:
    return merge(one.hists[name] for one in series if name in one.hists)


def _percentiles(name: str, hist: Any, quantiles: Iterable[int]) -> dict[str, int | None]:
    return {f"{name}_p{q}_ns": percentile(hist, q) if hist.total else None for q in quantiles}
