"""One process's part of a run: prepares steps, drives the engine, and sends what it measured.

It reads the master's messages one after the other in a greenlet of its own; what it has to say leaves by
another, so that neither a full socket nor a slow master ever holds up the load.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import Queue
from locust.exception import RPCError, RPCSendError

from triton_users.clock import now_ns
from triton_users.engine import Engine, Lane, Requests, Sender, Slots, pool_of
from triton_users.inputs import InputError, Payloads
from triton_users.net import Channel, RpcError
from triton_users.run import protocol as p
from triton_users.run.answer import LONGEST_NS, Answer, Owed
from triton_users.run.kept_windows import KeptWindows
from triton_users.run.models import read_spec, source_for
from triton_users.run.realtime import Realtime
from triton_users.run.request_files import RequestFiles
from triton_users.run.signals import raise_in_main
from triton_users.sinks.folder import ResultsError
from triton_users.stats.recorder import Recorder
from triton_users.stats.request_log import RequestLog
from triton_users.step import CLOSED, Flow, Lease, Step
from triton_users.units import NS_PER_S

UserClasses = Mapping[str, Any]

EXIT_REFUSED = 2
EXIT_ORPHANED = EXIT_BROKEN = 4
LOOK_S = 0.5
ORPHAN_LOOKS = 20
"""So many without a sign of the master, and a worker ends. Its load has stopped long before: leases end."""
LEAVE_NS = 3 * NS_PER_S
"""How long a worker that leaves waits for answers."""
FLUSH_NS = 2 * NS_PER_S
GREET_S = 2.0
"""Between two hellos, while the master has not said anything."""


class Worker:
    """``send`` hands one packed message to the master; ``user_classes`` are the locustfile's, by name;
    ``end`` is called, with the reason and an exit code, when this process has to end. ``of_master``: the
    master has forked it, and has every Ctrl-C that it has."""

    def __init__(
        self,
        user_classes: UserClasses,
        send: Callable[[bytes], None],
        end: Callable[[str, int], None],
        *,
        of_master: bool = False,
    ) -> None:
        self._of_master, self._leaving = of_master, False
        self._classes = user_classes
        self._send = send
        self._end = end
        self._inbox: Queue[bytes] = Queue()
        self._outbox: Queue[tuple[Any, ...]] = Queue()
        self._run: WorkerRun | None = None
        self._heard = True
        self._spoken_to = Event()
        gevent.spawn(self._read).link_exception(self._broke)
        gevent.spawn(self._write).link_exception(self._broke)

    def receive(self, packed: bytes) -> None:
        """A message from the master: only queued here."""
        self._inbox.put(packed)

    def greet(self, hello: p.Hello) -> None:
        """Introduce this worker, at the end of Locust's ``init``; again until the master has something to say
        to it, for a message may get lost."""
        self._say(hello)
        gevent.spawn(self._greet_again, hello)

    def _greet_again(self, hello: p.Hello) -> None:
        while not self._spoken_to.wait(GREET_S):
            self._say(hello)

    def heard(self) -> None:
        """The master has shown that it lives."""
        self._heard = True

    def watch(self) -> None:
        """Look after the master for as long as this process lives; for a greenlet of its own. Looks are
        counted, not time: a frozen worker finds the master's messages when it wakes."""
        silent = 0
        while silent < ORPHAN_LOOKS:
            self._heard = False
            gevent.sleep(LOOK_S)
            silent = 0 if self._heard else silent + 1
        self._end("the master is gone: this worker ends", EXIT_ORPHANED)

    def interrupt(self, name: str) -> None:
        """Ctrl-C ends in ``leave``, as SIGTERM does, which is Locust's own; but a run that this one's parent
        leads goes on until that has closed it."""
        led = self._of_master and self._run is not None and self._run.closing is None
        if name == "Ctrl-C" and not led and not self._leaving:
            raise_in_main(KeyboardInterrupt())

    def leave(self) -> None:
        """This process ends: what is in flight is waited for, and what was measured goes to the master."""
        self._leaving = True
        if self._run is not None:
            self._run.leave()
        deadline = now_ns() + FLUSH_NS
        while not self._outbox.empty() and now_ns() < deadline:
            gevent.sleep(0.01)

    def _say(self, *messages: Any) -> None:
        """In one message of Locust's, as soon as it may be."""
        self._outbox.put(messages)

    def _broke(self, greenlet: Any) -> None:
        self._end(f"this worker broke: {greenlet.exception!r}; please report it", EXIT_BROKEN)

    def _write(self) -> None:
        """A message is gone from the outbox when it is sent: Locust gives up on a full socket after 9 s."""
        while True:
            messages = self._outbox.peek()
            try:
                self._send(p.encode(*messages))
            except (RPCError, RPCSendError) as error:
                logging.getLogger(__name__).warning("the way to the master is full: %s", error)
                gevent.sleep(LOOK_S)
                continue
            self._outbox.get()

    def _read(self) -> None:
        while True:
            messages = p.decode(self._inbox.get())
            self.heard()
            self._spoken_to.set()
            for message in messages:
                self._handle(message)

    def _handle(self, message: Any) -> None:
        if isinstance(message, p.Grant):
            self._granted(message)
        elif isinstance(message, p.RunStart):
            if self._run is None or self._run.id != message.run:
                if self._run is not None:
                    self._run.leave()
                self._run = WorkerRun(message, self._classes, self._say, self._broke)
        elif isinstance(message, p.Refused):
            self._end(f"the master refuses this worker: {message.reason}", EXIT_REFUSED)
        elif self._run is not None:
            self._run.handle(message)

    def _granted(self, grant: p.Grant) -> None:
        if self._run is None or self._run.closing is not None:
            self._say(p.Beat(grant.sent_ns, now_ns(), "", -1, -1))
        else:
            self._run.granted(grant)


class WorkerRun:
    """The worker's part of one run. ``broke`` hears of a greenlet of it that has failed."""

    def __init__(
        self,
        start: p.RunStart,
        classes: UserClasses,
        send: Callable[..., None],
        broke: Callable[[Any], None],
    ) -> None:
        self.id = start.run
        self._start, self._settings = start, start.settings
        self._classes, self._send, self._broke = classes, send, broke
        self._log = RequestLog() if start.settings.save_requests else None
        self._files = RequestFiles(Path(start.folder), start.worker, start.seed)
        self._recorder = Recorder(start.settings.latency_threshold_ns, self._log)
        self._windows = KeptWindows(start.run, self._say, broke)
        self._engine = Engine(self._recorder, self._windows.add)
        self._channels: dict[str, Channel] = {}
        self._payloads: dict[Any, Payloads] = {}
        self._fewer: list[str] = []
        self._lanes: list[Lane] = []
        self._step: Step | None = None
        self._preparing = self._prepared = self._begun = self._told = -1
        self._ready: p.Ready | None = None
        self._done: p.Done | None = None
        self._zero = self._t0 = 0
        self._leases: list[Lease] = []
        self._answer = Answer()
        self._finishing: Any = None
        self.closing: Any = None
        """The greenlet that closes the run, once that has begun."""
        self._connections_lost = 0
        self._realtime = Realtime(start.settings.realtime)

    def handle(self, message: Any) -> None:
        """Act on one message of the master."""
        match message:
            case p.StepPrepare(step):
                if step.index > self._preparing:
                    self._preparing = step.index
                    self._over(step.drain_ns, 0)  # the word of its end may have got lost
                    self._spawn(self._prepare, step)
                elif self._ready is not None and self._ready.step == step.index:
                    self._say(self._ready)
            case p.StepBegin(step):
                if step > self._begun and self._step is not None and self._step.index == step:
                    self._begin(message)
            case p.StepEnd(step, drain_ns, end_ns, missing):
                self._windows.send_again(missing)
                if self._done is not None and self._done.step == step:
                    self._say(self._done)
                elif self._step is not None and self._step.index == step:
                    self._over(drain_ns, end_ns)
                elif step == self._begun:
                    self._engine.hurry(drain_ns)
            case p.RunEnd(self.id) if self.closing is None:
                self.closing = self._spawn(self._close)

    def _spawn(self, work: Callable[..., None], *args: Any) -> Any:
        greenlet = gevent.spawn(work, *args)
        greenlet.link_exception(self._broke)
        return greenlet

    def _over(self, drain_ns: int, end_ns: int) -> None:
        """Finish the step under way, if there is one."""
        if self._step is not None:
            self._finishing = self._spawn(self._finish, self._step, drain_ns, end_ns)
            self._step = None

    def _say(self, *messages: Any) -> None:
        """With the answer that waits for company."""
        self._send_all(self._answer.take(), *messages)

    def _send_all(self, due: Iterable[Owed], *messages: Any) -> None:
        beats = [owed.beat(now_ns(), self.id, self._prepared, self._begun) for owed in due]
        if beats:
            self._told = self._begun
        if beats or messages:
            self._send(*beats, *messages)

    def granted(self, grant: p.Grant) -> None:
        """Answer, at once if the master has yet to hear that the step has begun here; and take the leases."""
        owed = Owed(grant.sent_ns, now_ns())
        loaded = self._step is not None and self._step.index == self._begun
        may_wait = loaded and self._told == self._begun
        self._send_all(self._answer.granted(owed, self._engine.cut_ns if may_wait else None))
        if self._answer.waiting is owed:
            alone = gevent.spawn_later(LONGEST_NS / NS_PER_S, lambda: self._send_all(self._answer.late(owed)))
            alone.link_exception(self._broke)
        self._windows.on_disk(grant.acks)
        if grant.max_in_flight:
            self._engine.share(grant.max_in_flight)
        for lease in grant.leases:
            if loaded and lease.step == self._begun:
                self._engine.lease(lease)
                self._keep(lease)
        self._windows.repeat()

    def _keep(self, lease: Lease) -> None:
        last = self._leases[-1] if self._leases else None
        if last is not None and (last.until_ns, last.k, last.n) == (lease.from_ns, lease.k, lease.n):
            self._leases[-1] = replace(last, until_ns=lease.until_ns)
        else:
            self._leases.append(lease)

    def leave(self) -> None:
        """Stop all load, wait a little for answers, and close: nobody leads this run any more, or this worker
        goes away."""
        step, self._step = self._step, None
        if step is not None and self._begun == step.index:
            self._finish(step, LEAVE_NS, 0)
        elif self._finishing is not None:
            self._engine.hurry(LEAVE_NS)
            self._finishing.join()
        if self.closing is None:
            self.closing = self._spawn(self._close)
        self.closing.join()

    # A step

    def _prepare(self, step: Step) -> None:
        if self._finishing is not None:
            self._finishing.join()  # the master does not wait for whom it has not heard of for long
        error = self._make_lanes(step)
        if error is None:
            self._step, self._done = step, None
            self._prepared = step.index
        self._ready = p.Ready(self.id, step.index, error, (*self._realtime.notes(), *self._fewer))
        self._say(self._ready)

    def _make_lanes(self, step: Step) -> str | None:
        """Everything that the step's load needs; why not."""
        try:
            self._lanes = [self._lane(flow) for flow in step.flows]
        except (RpcError, InputError, OSError) as error:
            return f"{error}"
        except Exception as error:  # of the user's own input functions, too
            logging.getLogger(__name__).exception("step %s cannot be prepared", step.name)
            return f"{type(error).__name__}: {error}"
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # so that the collection at the step's start has little to look at
        return None

    def _lane(self, flow: Flow) -> Lane:
        settings = self._settings
        channel = self._channel(flow)
        lane: Lane
        if self._classes[flow.user_class].has_tasks():
            pool = pool_of(flow.user_class)
            pool.attach(
                flow, self._recorder, self._start.seed, self._engine.room_for, settings.request_timeout_ns
            )
            lane = pool
        else:
            payloads = self._built(flow, channel)
            requests = Requests(payloads, flow.name, self._recorder, settings.request_timeout_ns)
            if flow.process == CLOSED:
                lane = Slots(flow, requests, self._recorder, self._start.seed)
            else:
                lane = Sender(flow, requests.draw, self._recorder, self._start.seed, self._engine.room_for)
        lane.channel = channel
        channel.listen(lane, lane.changed)
        return lane

    def _channel(self, flow: Flow) -> Channel:
        channel = self._channels.get(flow.name)
        if channel is None:
            settings = self._settings
            channel = Channel(
                self._start.server, connections=settings.connections, timeout_ns=settings.request_timeout_ns
            )
            self._channels[flow.name] = channel
        channel.renew()
        channel.connect(self._settings.wait_ready_ns)
        return channel

    def _built(self, flow: Flow, channel: Channel) -> Payloads:
        """The flow's payloads; those of the last step are kept, others would only take memory."""
        key = (flow.model, flow.classes)
        if key not in self._payloads:
            self._payloads.clear()
            spec = read_spec(channel, flow.model, self._settings.model_version)
            source = source_for(self._classes[flow.user_class], spec, self._settings)
            built = Payloads.build(spec, flow.classes, source, self._settings.input_count, self._start.seed)
            self._payloads[key] = built
            self._fewer += [note for note in built.notes if note not in self._fewer]
        return self._payloads[key]

    def _begin(self, begin: p.StepBegin) -> None:
        assert self._step is not None
        self._begun = begin.step
        self._zero, self._t0, self._leases = begin.zero_ns, begin.t0_ns, []
        self._realtime.on()
        lanes, worker = self._lanes, self._start.worker
        self._engine.begin(self._step, begin.zero_ns, begin.t0_ns, lanes, worker, begin.max_in_flight)

    def _finish(self, step: Step, drain_ns: int, end_ns: int) -> None:
        """``end_ns`` on the run's axis: a clock that lags a little still has arrivals to send."""
        unsaved = None
        if self._begun == step.index:
            left_ns = self._zero + end_ns - now_ns()
            if 0 < left_ns < LEAVE_NS:
                gevent.sleep(left_ns / NS_PER_S)
            stopped_ns = self._engine.stop()
            self._engine.finish(drain_ns)
            self._windows.pass_on()
            self._realtime.off()
            unsaved = self._save(step)
        else:
            stopped_ns, self._leases = 0, []
        lost = sum(c.connections_lost for c in self._channels.values())
        last_seq, leases = self._engine.last_seq, tuple(self._leases)
        broken = lost - self._connections_lost
        self._done = p.Done(self.id, step.index, last_seq, stopped_ns, broken, leases, unsaved)
        self._connections_lost = lost
        self._say(self._done)

    def _save(self, step: Step) -> str | None:
        """For --save-requests; why the step's requests could not be saved."""
        if self._log is not None:
            try:
                self._files.add(step, self._zero, self._t0, self._leases, self._log.cut(), self._recorder)
            except ResultsError as error:
                logging.getLogger(__name__).error("%s", error)
                return str(error)
        return None

    def _close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._engine.close()
