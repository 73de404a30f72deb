"""Load without Locust and without a master: an engine, its lanes, and the windows that come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import gevent

from tests.ledger import assert_ledger
from triton_users.clock import now_ns
from triton_users.engine import Engine, Lane, Pool, Requests, Sender, Slots, census
from triton_users.inputs import ModelSpec, Payloads, RandomSource, TensorSpec
from triton_users.net import Channel
from triton_users.schedule import Schedule
from triton_users.stats.recorder import Recorder
from triton_users.stats.window import Window
from triton_users.step import CLOSED, POISSON, Flow, Lease, RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

IDENTITY = ModelSpec(
    "identity", "", 64, (TensorSpec("INPUT0", "FP32", (-1,)),), (TensorSpec("OUTPUT0", "FP32", (-1,)),)
)
FIXED_TIME = ModelSpec("fixed_time", "", 0, (TensorSpec("INPUT0", "INT64", (-1,)),), ())
SIXTEEN = RequestClass("identity", 1, (("INPUT0", (16,)),))
FOUR_SIXTEEN = RequestClass("identity", 4, (("INPUT0", (16,)),))
LEAD_NS = 50 * NS_PER_MS


def flow(
    process: str = CLOSED,
    *,
    rate: float | None = None,
    name: str = "flow",
    model: str = "identity",
    classes: Sequence[tuple[RequestClass, float]] = ((SIXTEEN, 1.0),),
) -> Flow:
    return Flow(name, f"Users of {name}", model, process, rate, None, tuple(classes))


def step(
    *flows: Flow, index: int = 0, warm_up: float = 0.0, interval: float | None = 1.0, trials: int = 1
) -> Step:
    """Durations in seconds."""
    interval_ns = None if interval is None else int(interval * NS_PER_S)
    return Step(index, f"step {index}", tuple(flows), int(warm_up * NS_PER_S), interval_ns, trials)


class Rig:
    """One worker's engine against ``url``. ``run`` runs a whole step and holds the ledger."""

    def __init__(
        self,
        url: str,
        *,
        seed: int = 7,
        timeout_ns: int | None = None,
        connections: int = 1,
        cap: int = 1024,
        specs: Mapping[str, ModelSpec] | None = None,
    ) -> None:
        self.recorder = Recorder()
        self.zero_ns = now_ns()
        self.windows: list[Window] = []
        self.engine = Engine(self.recorder, self.windows.append)
        self.channels: dict[str, Channel] = {}
        self.pools: dict[str, Pool] = {}
        self.t0_ns = 0
        self.lanes: list[Lane] = []
        self._url, self._seed, self._timeout_ns = url, seed, timeout_ns
        self._connections, self._cap = connections, cap
        self._specs = {"identity": IDENTITY, "fixed_time": FIXED_TIME} | dict(specs or {})
        census.counts.clear()

    # The parts

    def channel(self, flow: Flow) -> Channel:
        found = self.channels.get(flow.name)
        if found is None:
            found = Channel(self._url, connections=self._connections, timeout_ns=self._timeout_ns)
            self.channels[flow.name] = found
        found.renew()
        found.connect()
        return found

    def pool(self, flow: Flow) -> Pool:
        """The pool of a flow whose users have tasks; users may come before the first step."""
        return self.pools.setdefault(flow.user_class, Pool(flow.user_class))

    def _lane(self, flow: Flow, wrap: Callable[[Lane], None]) -> Lane:
        lane: Lane
        if not flow.classes:
            pool = self.pool(flow)
            pool.attach(flow, self.recorder, self._seed, self.engine.room_for, self._timeout_ns)
            lane = pool
        else:
            spec = self._specs[flow.model]
            payloads = Payloads.build(spec, flow.classes, RandomSource(spec), 8, self._seed)
            requests = Requests(payloads, flow.name, self.recorder, self._timeout_ns)
            if flow.process == CLOSED:
                lane = Slots(flow, requests, self.recorder, self._seed)
            else:
                lane = Sender(flow, requests.draw, self.recorder, self._seed, self.engine.room_for)
        lane.channel = self.channel(flow)
        wrap(lane)
        lane.channel.listen(lane, lane.changed)  # type: ignore[attr-defined, arg-type]
        return lane

    # A step, piece by piece

    def begin(
        self,
        step: Step,
        users: int | Mapping[str, int] = 1,
        lead_ns: int = LEAD_NS,
        wrap: Callable[[Lane], None] = lambda lane: None,
    ) -> None:
        """Everything up to the first lease; ``users`` of each flow. ``wrap`` may alter a lane."""
        self.step = step
        self._first = len(self.windows)
        for f in step.flows:
            census.counts[f.user_class] = users if isinstance(users, int) else users[f.name]
        self.lanes = [self._lane(f, wrap) for f in step.flows]
        self.t0_ns = now_ns() + lead_ns
        self.engine.begin(step, self.zero_ns, self.t0_ns - self.zero_ns, self.lanes, 0, self._cap)

    def lease(self, from_s: float, until_s: float, k: int = 0, n: int = 1) -> None:
        lease = Lease(self.step.index, int(from_s * NS_PER_S), int(until_s * NS_PER_S), k, n)
        self.engine.lease(lease)

    def at(self, seconds: float) -> None:
        """Wait until so long after t0."""
        gevent.sleep(max(self.t0_ns / NS_PER_S + seconds - now_ns() / NS_PER_S, 0))

    def end(
        self, drain: float = 5.0, scheduled: Mapping[str, int] | None = None
    ) -> tuple[list[Window], Counter[str]]:
        """Stop, drain, and hold the ledger: the step's windows and totals."""
        self.engine.stop()
        self.engine.finish(int(drain * NS_PER_S))
        windows = self.windows[self._first :]
        return windows, assert_ledger(windows, scheduled=scheduled)

    def run(
        self, step: Step, users: int | Mapping[str, int] = 1, drain: float = 5.0
    ) -> tuple[list[Window], Counter[str]]:
        """The whole length under one lease."""
        assert step.length_ns is not None
        seconds = step.length_ns / NS_PER_S
        self.begin(step, users)
        self.lease(0, seconds)
        self.at(seconds + 0.005)
        return self.end(drain, scheduled=self.planned(step, 0, seconds))

    def planned(self, step: Step, from_s: float, until_s: float, k: int = 0, n: int = 1) -> dict[str, int]:
        """What the schedule holds for us of each open flow whose requests are all of it."""
        found = {}
        for f in step.flows:
            if f.rate is not None and f.classes:
                schedule = Schedule(f.process, f.rate, self._seed, f"{step.index}/{f.name}")
                found[f.name] = schedule.count(int(from_s * NS_PER_S), int(until_s * NS_PER_S), k, n)
        return found

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close(0)
        self.engine.close()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def poisson(rate: float, **rest: object) -> Flow:
    return flow(POISSON, rate=rate, **rest)  # type: ignore[arg-type]
