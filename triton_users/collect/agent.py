"""``python -m triton_users agent``: measures this host for a run elsewhere, or shows what it can measure."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
from collections.abc import Sequence

from triton_users.clock import now_ns, wall_ns, wall_text
from triton_users.collect.lines import address_of
from triton_users.collect.outbox import Outbox
from triton_users.collect.sampler import Sampler, Scheduled
from triton_users.collect.sensors import TritonAt, host_sensors, triton_sensors
from triton_users.collect.serving import Agent
from triton_users.collect.token import TokenError, read_token
from triton_users.units import parse_duration

EXIT_REFUSED = 2


def main(arguments: Sequence[str]) -> int:
    """``python -m triton_users agent``: returns the exit code."""
    given = parser().parse_args(arguments)
    try:
        interval_ns = parse_duration(given.metrics_interval, "ms")
    except ValueError as error:
        return _refuse(f"--metrics-interval: {error}")
    triton = TritonAt(metrics_url=given.metrics_url, metrics_interval_ns=interval_ns)

    def sensors() -> list[Scheduled]:
        return [*host_sensors(), *triton_sensors(triton)]

    if given.print is not None:
        _print(given.name, sensors(), given.print)
        return 0
    try:
        address = address_of(given.listen)
        agent = Agent(address, read_token(given.agent_token_file), given.name, sensors, _say)
    except TokenError as error:
        return _refuse(str(error))
    except (ValueError, OSError) as error:
        return _refuse(f"--listen {given.listen}: {getattr(error, 'strerror', None) or error}")
    host, port = agent.address
    _say(f"{given.name} listens at {f'[{host}]' if ':' in host else host}:{port}")
    with contextlib.suppress(KeyboardInterrupt):
        agent.serve()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m triton_users agent",
        description="Measures this host for a run elsewhere (there: --agent HOST:PORT). The token that both "
        "sides share comes from TRITON_AGENT_TOKEN or --agent-token-file and never crosses the network; the "
        "samples do, as plain text.",
    )
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--listen", metavar="HOST:PORT", help="wait here for runs that have the token")
    what.add_argument(
        "--print", metavar="SECONDS", type=float, help="sample for so long, and print what a run would get"
    )
    made.add_argument("--agent-token-file", metavar="FILE", help="file that holds the token and nothing else")
    made.add_argument(
        "--name",
        default=socket.gethostname(),
        help="what this host is called in results (default: %(default)s)",
    )
    made.add_argument("--metrics-url", metavar="URL", help="also read a Triton's metrics page, from here")
    made.add_argument(
        "--metrics-interval",
        metavar="MS",
        default="1000",
        help="between two readings of it (default: %(default)s)",
    )
    return made


def _print(name: str, sensors: Sequence[Scheduled], seconds: float) -> None:
    outbox = Outbox()
    sampler = Sampler(name, sensors, outbox.put, zero_ns=now_ns())
    sampler.start()
    threading.Timer(seconds, outbox.close).start()
    while lines := outbox.take():
        sys.stdout.write(lines.decode())
        sys.stdout.flush()
    sampler.stop()


def _say(text: str) -> None:
    print(f"{wall_text(wall_ns())} agent: {text}", flush=True)


def _refuse(message: str) -> int:
    print(f"triton-users: {message}", file=sys.stderr)
    return EXIT_REFUSED
