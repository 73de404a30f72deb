"""A worker process takes its place: listens to the master, introduces itself, and ends as it should."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import gevent
from locust import argument_parser, runners
from locust.env import Environment
from locust.runners import WorkerRunner

from triton_users.options import OPTIONS
from triton_users.run import protocol as p
from triton_users.run import signals
from triton_users.run.forks import forks
from triton_users.run.worker import Worker

CONNECT_RETRIES = 1
"""Of five seconds each, with a master that had just given its locustfile."""

LOCUSTS_OWN = [
    ("-H", "host", "LOCUST_HOST"),
    ("-u", "num_users", "LOCUST_USERS"),
    ("-r", "spawn_rate", "LOCUST_SPAWN_RATE"),
]
"""Flag, destination and environment variable of what concerns the load among Locust's options."""


def enlist(environment: Environment, runner: Any) -> Worker:
    """The Worker of this process, which is a worker or a local run; it has yet to greet the master."""

    def send(packed: bytes) -> None:
        runner.send_message(p.UP, cast(Any, packed))  # Locust annotates a dict and packs anything

    worker = Worker(
        {cls.__name__: cls for cls in environment.user_classes},
        send,
        _ender(environment, runner),
        of_master=forks.of_master,
    )
    runner.register_message(p.DOWN, lambda environment, msg: worker.receive(msg.data))
    environment.events.quitting.add_listener(lambda **_: worker.leave())
    if isinstance(runner, WorkerRunner):
        quick_spawns()
        environment.events.heartbeat_received.add_listener(lambda **_: worker.heard())
        gevent.spawn(worker.watch)
        signals.listen(worker.interrupt)
    return worker


def before_options(parser: argparse.ArgumentParser) -> None:
    """Before Locust reads the options by ``parser``, forks, and meets a master: from then on the options are
    the master's."""
    early = argument_parser.get_empty_argument_parser(add_help=False)
    early.add_argument("--worker", action="store_true", env_var="LOCUST_MODE_WORKER")
    options, _ = early.parse_known_args()
    first = forks.expect(worker=options.worker)
    if first and options.worker and (flags := misplaced(parser.parse_known_args()[0], os.environ)):
        sys.stderr.write(f"triton-users: {', '.join(flags)} has no effect here: give it to the master\n")
    if options.worker and options.locustfile == "-":
        # There was a master, which gave the locustfile. If that is gone now, Locust would wait five minutes,
        # and join whoever comes next.
        runners.CONNECT_RETRY_COUNT = CONNECT_RETRIES


def quick_spawns() -> None:
    """Locust builds its whole parser anew for each option in each message about users: a hundred times, and
    for as many milliseconds nothing is sent. What it looks up never changes."""
    argument_parser.default_args_dict = cache(argument_parser.default_args_dict)


def _ender(environment: Environment, runner: Any) -> Callable[[str, int], None]:
    def end(reason: str, code: int) -> None:
        sys.stderr.write(f"triton-users: {reason}\n")
        environment.process_exit_code = code
        runner.quit()

    return end


def misplaced(options: Any, environ: Mapping[str, str]) -> list[str]:
    """The options about the load that a worker was given: the master's hold for all. Those in the environment
    are meant for whoever needs them: an image has some for all that run from it."""
    known = [(option.name, option.dest, option.env_var) for option in OPTIONS] + LOCUSTS_OWN
    return [
        flag
        for flag, dest, variable in known
        if getattr(options, dest, None) not in (None, False) and variable not in environ
    ]
