"""Locust's listeners: each passes on to the Session (master or local) and the Worker (worker or local)."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any

import gevent
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from triton_users import web
from triton_users.options import add_options, perf_analyzer_habits
from triton_users.run import protocol as p
from triton_users.run import signals
from triton_users.run.enlist import before_options, enlist
from triton_users.run.errors import RunError, set_off
from triton_users.run.forks import forks
from triton_users.run.hello import hello
from triton_users.run.prepare import triton_classes
from triton_users.run.session import Session
from triton_users.users import TritonUser, users_found

EXIT_REFUSED = 2
DISMISS_S = 5.0
_registered = False


def register() -> None:
    """Listen to Locust's events, once in a process."""
    global _registered  # noqa: PLW0603 - Locust's events are the process's too
    if not _registered:
        _registered = True
        events.init_command_line_parser.add_listener(_options)
        events.init.add_listener(_init)


def _refuse(message: str, runner: Any = None) -> None:
    sys.stderr.write(f"triton-users: {set_off(message)}\n")
    _dismiss(runner)
    sys.exit(EXIT_REFUSED)


def _dismiss(runner: Any) -> None:
    """Send the workers home that are there, and those that Locust has forked: they are about to come."""
    if isinstance(runner, MasterRunner):
        options: Any = runner.environment.parsed_options
        with gevent.Timeout(DISMISS_S, False):
            while len(runner.clients) < (options.processes or 0):
                gevent.sleep(0.05)
        runner.quit()


def _no_user() -> None:
    """Locust would say so itself, but neither which kind is missing nor with our exit code."""
    try:
        triton_classes((), TritonUser)
    except RunError as error:
        _refuse(str(error))


def _options(parser: argparse.ArgumentParser) -> None:
    if habits := perf_analyzer_habits(sys.argv[1:]):
        _refuse("\n".join(habits))
    if not users_found():
        _no_user()
    add_options(parser)
    if "--dry-run" in sys.argv:
        parser.set_defaults(headless=True)  # a plan needs no web UI, which would announce itself first
    before_options(parser)


def _init(environment: Environment, runner: Any, **_: Any) -> None:
    forks.over()
    # Its farewell is registered first, and so comes last: after the session's, which needs it.
    worker = enlist(environment, runner) if isinstance(runner, LocalRunner | WorkerRunner) else None
    if not isinstance(runner, WorkerRunner):
        try:
            _session(environment, runner)
        except RunError as error:
            _refuse(str(error), runner)
        except BaseException:
            _dismiss(runner)
            raise
    if worker is not None:
        worker.greet(hello(environment))


def _session(environment: Environment, runner: Any) -> None:

    def send(packed: bytes, node: str | None) -> None:
        runner.send_message(p.DOWN, packed, node)

    session = Session(environment, send, hello(environment))
    runner.register_message(p.UP, lambda environment, msg: session.receive(msg.node_id, msg.data))
    if environment.web_ui is not None:
        web.install(environment.web_ui, session)
    signals.listen(session.interrupt)
    try:
        session.open()
    except BaseException:
        session.close()
        raise
    logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)  # our table says more
    runners = logging.getLogger("locust.runners")
    runners.setLevel(logging.WARNING)  # our progress too
    runners.addFilter(lambda record: "spawn rate is very high" not in record.getMessage())  # they only wait
    options: Any = environment.parsed_options
    if options.headless:
        logging.getLogger("locust.main").setLevel(logging.WARNING)  # of shapes, and -t once more
    options.only_summary = True
    environment.events.test_start.add_listener(lambda **_: session.started())
    environment.events.test_stopping.add_listener(lambda **_: session.stopping())
    environment.events.quitting.add_listener(lambda **_: session.close())
