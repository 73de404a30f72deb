"""The life of the master's (or the local) process: the server, and one run after another."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner
from locust.stats import CSV_STATS_INTERVAL_SEC

from triton_users.clock import now_ns, wall_ns
from triton_users.options.settings import Settings
from triton_users.plan.sweep import describe
from triton_users.run import protocol as p
from triton_users.run.agent import AgentChild, agent_job, agent_token
from triton_users.run.database import check_token
from triton_users.run.errors import RunError, set_off
from triton_users.run.master import Placement, Run
from triton_users.run.muster import muster
from triton_users.run.pause import alone, beside_load
from triton_users.run.prepare import (
    checked_sources,
    class_defaults,
    ignored,
    models_of,
    planned_sources,
    read_settings,
    triton_classes,
)
from triton_users.run.probe import Probe
from triton_users.run.record import Record
from triton_users.run.shape import RunShape
from triton_users.run.signals import raise_in_main
from triton_users.run.target import Target, check_demo_models
from triton_users.run.voice import Voice
from triton_users.run.workers import Workers
from triton_users.sinks.folder import ResultsError
from triton_users.sinks.locust_stats import LocustStats
from triton_users.units import NS_PER_S
from triton_users.users import TritonUser
from triton_users.verdict.verdict import EXIT_INVALID, EXIT_NOTHING_MEASURED, exit_code

LAST_CSV_S = CSV_STATS_INTERVAL_SEC * 1.2
"""Locust writes its CSV files in rounds, and closes them as they stand: so long until one has it all."""
CLOSE_S = 120.0
"""The longest that a stop waits for a run to close, beside its drains: for what is owed, and the results."""


class Session:
    """``send`` carries a packed message to one worker (Locust's id) or to all (None); ``hello`` is what a
    worker like us would say."""

    def __init__(
        self, environment: Environment, send: Callable[[bytes, str | None], None], hello: p.Hello
    ) -> None:
        self.environment = environment
        self._runner: Any = environment.runner
        self._hello = hello
        self.options: Any = environment.parsed_options
        self.voice = Voice()
        self.run: Run | None = None
        self.workers = Workers(send, self._members)
        self.target: Target | None = None
        self.on_run: list[Callable[[Run], None]] = []
        """Called with every run that has been made ready, before it begins."""
        self._classes = triton_classes(environment.user_classes, TritonUser)
        self._hosts = {cls: cls.host for cls in self._classes.values()}
        self._defaults = class_defaults(self._classes)
        # The web form always has a number of users: Locust fills in 1 where nobody gave one.
        self._filled_in_users = 1 if getattr(self.options, "num_users", None) is None else 0
        self._next: Run | None = None
        self._preparing = False
        self._changed = Event()
        self._last: tuple[int, float] | None = None
        self._halting = False
        self._opening = True
        self._known_members: frozenset[str] = frozenset()
        self._epoch = 0

    # Locust's events

    def open(self) -> None:
        """In ``init``: check the options; a run that begins by itself is made ready. Raises RunError.

        With the web UI the server is looked for at the start of a run: its address may come from the form.
        """
        if getattr(self.options, "class_picker", False):
            raise RunError(
                "--class-picker has no use here: a run measures every user class of the locustfile."
            )
        settings = read_settings(self.options, self._defaults)
        if settings.dry_run:
            self._print_plan(settings)
            self.environment.process_exit_code = 0
            raise SystemExit(0)
        if self.options.headless or self.options.autostart:
            self._prepare(settings)
        self.environment.shape_class = RunShape(self.environment.runner, self.tick, self._begin_ticks)
        if isinstance(self._runner, MasterRunner) and self.options.headless:
            muster(self._runner, self.options, lambda: self._next is not None, self._give_up)
        self._opening = False

    def prepare(self, options: Any) -> None:
        """Make the next run ready: ``options`` are as the web form has them. Raises RunError."""
        if self._preparing or self.running:
            raise RunError("a run is under way: stop it, or wait for its end, before you start another")
        self._prepare(read_settings(options, self._defaults, filled_in_users=self._filled_in_users))

    def discard(self, reason: str = "Locust did not start the run: see its log") -> None:
        """The run that was made ready does not begin: leave nothing of it."""
        if self._next is not None:
            self._next.record.discard(reason)
            self._next = None

    @property
    def running(self) -> bool:
        return self.run is not None and not self.run.finished.is_set()

    def _prepare(self, settings: Settings) -> None:
        self._preparing = True
        try:
            for cls, host in self._hosts.items():
                cls.host = host  # Locust writes the last run's host into the classes
            self._next = self._ready_run(settings)
        finally:
            self._preparing = False

    def _reach(self, settings: Settings) -> Target:
        """The server, found or started, and answering; the last run's if that is still the one."""
        models = models_of(self._classes, settings)
        if self.target is not None and (self.target.host, self.target.models) == (settings.host, models):
            self.target.again(settings.wait_ready_ns)
            return self.target
        if self.target is not None:
            self.target.close()
        self.target = Target(settings.host, models, Path(settings.results), self.voice.say)
        try:
            self.target.start(settings.wait_ready_ns)
        except BaseException:
            self.target.close()
            self.target = None
            raise
        return self.target

    def _print_plan(self, settings: Settings) -> None:
        sources = planned_sources(self._classes, settings)
        if settings.host is None:
            check_demo_models(models_of(self._classes, settings))
        self.voice.plan(describe(settings, sources), settings.run_time_ns)

    def _ready_run(self, settings: Settings) -> Run:
        """Everything between the settings and a run that can begin at once. Raises RunError."""
        target = self._reach(settings)
        sources = checked_sources(self._classes, settings, target)
        check_token(settings)
        token = agent_token(settings)
        plan = describe(settings, sources)
        self.voice.plan(plan, settings.run_time_ns)
        for sentence in ignored(self._classes, settings):
            self.voice.say(sentence)
        seed = secrets.randbits(32) if settings.seed is None else settings.seed
        run_id = secrets.token_hex(4)
        zero_ns, zero_wall_ns = now_ns(), wall_ns()
        try:
            locustfile = self.environment.locustfile or "run"
            pause = alone if isinstance(self._runner, MasterRunner) else beside_load
            record = Record(settings, locustfile, run_id, seed, zero_wall_ns, self.voice, pause)
            target.link_log(record.folder.server_log)
        except (ResultsError, OSError) as error:
            raise RunError(str(error)) from error
        record.listen(LocustStats(self.environment).add)
        if not settings.no_agent:
            job, log = agent_job(settings, target, zero_ns), record.folder.path / "agent.log"
            restart = None if target.embedded else record.diary.given_server_restart  # ours is watched
            record.attend(AgentChild(job, token, log, record.sample, self.voice.say, restart))
        run = Run(
            id=run_id,
            seed=seed,
            settings=settings,
            sources=sources,
            target=target,
            workers=self.workers,
            record=record,
            placed=self._placed,
            needed=self._needed,
            zero_ns=zero_ns,
            zero_wall_ns=zero_wall_ns,
            planned_steps=len(plan),
            probe=Probe(target, self._classes, settings, seed),
            raised=lambda: sum(found["count"] for found in self._runner.exceptions.values()),
        )
        for listener in self.on_run:
            listener(run)
        return run

    def _placed(self, users: int) -> bool:
        runner = self.environment.runner
        assert runner is not None and self.run is not None
        if self._last != self._wanted(self.run.placement):
            self._changed.set()
            return False
        return bool(runner.user_count == users)

    def _begin_ticks(self) -> None:
        """Locust starts to ask for ticks: a start, of whatever kind."""
        self._last = None
        self._halting = False

    def tick(self) -> tuple[int, float] | None:
        """What the shape says next: waits until there is something new to say, a second at most."""
        if self._last is None:
            # For an open loop that is all, and the next tick is a second away.
            self._last = self._wanted(Placement())
            return self._last
        self._changed.wait(1.0)
        self._changed.clear()
        if self._halting:
            return self._last  # Locust is about to stop all by itself: two at once would be too many
        if self.run is None or self.run.finished.is_set():
            return None
        self._last = self._wanted(self.run.placement)
        return self._last

    def _wanted(self, placement: Placement) -> tuple[int, float]:
        """Users and rate as Locust is to be told. Another set of workers is another epoch: a rate that
        differs by a trifle makes Locust share the users out anew (docs/architecture.md)."""
        members = frozenset(self._members())
        if members != self._known_members:
            self._known_members = members
            self._epoch = (self._epoch + 1) % 1000
        return placement.users, placement.rate + self._epoch / 1000

    def started(self) -> None:
        """``test_start``: the run begins. Where nobody has made one ready, that is done first."""
        if self._next is None:
            try:
                self.prepare(self.options)
            except RunError as error:
                self.voice.error(set_off(str(error)))
                return
        self.run, self._next = self._next, None
        assert self.run is not None
        gevent.spawn(self.run.execute).link(self._ended)

    def stopping(self) -> None:
        """``test_stopping``: Locust goes on to stop its users when this returns."""
        self._halting = True
        if self.run is not None and self.running and not self.run.asked_to_stop and not self._members():
            self.run.deserted()  # it is Locust that stops the test
        self.stop("the test was stopped")

    def _ended(self, greenlet: Any) -> None:
        if greenlet.exception is not None:
            logging.getLogger(__name__).error("the run broke: %s", greenlet.exception)
        self._changed.set()

    def stop(self, reason: str) -> None:
        """Have the run close, and wait until it has. Does nothing when none is under way."""
        if self.run is not None and self.running:
            self.run.stop(reason)
            settings = self.run.settings
            drains_ns = settings.drain_ns + (
                settings.influx_drain_ns if settings.influx_url is not None else 0
            )
            self.run.finished.wait(CLOSE_S + drains_ns / NS_PER_S)

    def interrupt(self, name: str) -> None:
        """A signal: the run closes with what was measured; a second one does not wait for answers, and one
        that comes later not for the database. Where no run is under way, Locust ends, and one that still
        waits for its workers does not begin."""
        run, headless = self.run, bool(self.options.headless)
        if run is not None and self.running:
            if run.asked_to_stop or run.draining:
                run.hurry()
                return
            self.voice.say(
                f"{name}: stopping, with what has been measured (again: without waiting for answers)"
            )
            self.stop(name)
        if self._opening:
            raise_in_main(SystemExit(EXIT_NOTHING_MEASURED))
        elif headless and run is None:
            self._give_up(f"{name}: the run had not begun, nothing was measured")
        elif not headless and name == "Ctrl-C":  # SIGTERM beside a web UI is Locust's own
            raise_in_main(KeyboardInterrupt())

    def _give_up(self, reason: str) -> None:
        """Before the run: nothing is left of it, and the workers that came go home."""
        if self._halting:
            return
        self._halting = True
        self.discard(reason)
        if self.target is not None:
            self.target.close()
        self._runner.quit()
        raise_in_main(SystemExit(EXIT_NOTHING_MEASURED))

    def close(self) -> None:
        """``quitting``: the exit code, and the server goes."""
        self.stop("Locust is quitting")
        if self._next is not None:
            self.discard()
            self.environment.process_exit_code = EXIT_NOTHING_MEASURED
        if self.run is not None:
            self._finish(self.run)
        if self.target is not None:
            self.target.close()
        if self.run is not None and self.options.csv_prefix:
            gevent.sleep(LAST_CSV_S)

    def _finish(self, run: Run) -> None:
        outcome = run.outcome
        if outcome is None:
            self.environment.process_exit_code = (
                EXIT_INVALID if run.refusal is None else EXIT_NOTHING_MEASURED
            )
            return
        if run.record.problems:  # a file of the results is missing
            self.environment.process_exit_code = EXIT_INVALID
            return
        failures = sum(sum(step.result.whole.failed.values()) for step in outcome.steps)
        self.environment.process_exit_code = exit_code(
            outcome.verdict, failures + run.raised(), run.settings.exit_code_on_error
        )

    # Messages

    @property
    def _needed(self) -> int:
        """The least number of workers that a run begins with."""
        expected = self.options.expect_workers if isinstance(self._runner, MasterRunner) else 1
        return max(expected, 1)

    def _members(self) -> list[str]:
        """Locust's ids of the workers that are there now."""
        runner = self._runner
        if isinstance(runner, MasterRunner):
            return [client.id for client in runner.clients.all if client.state != STATE_MISSING]
        return ["local"]

    def receive(self, node: str, packed: bytes) -> None:
        """A worker's message: only queued, or noted if it is a greeting."""
        if not self.workers.knows(node):
            greeting = next((one for one in p.decode(packed) if isinstance(one, p.Hello)), None)
            if greeting is None:
                return
            if self.workers.hello(node, greeting, now_ns(), self._hello) is None:
                self.voice.error(self.workers.refused[node])
        if node in self.workers.peers and self.run is not None and self.running:
            self.run.talk.inbox.put((node, packed, now_ns()))
