"""``python -m infra.hosts``: start workers on machines over SSH, follow them, keep their logs, stop them.

Exit codes: 0 every worker ended well, or a check found every host in order; 1 a worker failed or a host was
lost; 2 options, hosts file or a host are not in order and nothing was started; 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.hosts import remote
from infra.hosts.follow import Follower, show
from infra.hosts.hosts_file import Host, HostsError, in_venv, is_loopback, read
from infra.hosts.link import Link, State

EXIT_FAILED, EXIT_REFUSED = 1, 2
LOGS = Path("results") / "worker-logs"


def main(arguments: Sequence[str]) -> int:
    """The whole command; returns its exit code."""
    given = _parser().parse_args(arguments)
    try:
        hosts = read(given.hosts, given.workers, in_venv(given.venv) if given.venv else given.python)
        _refuse_loopback(given.master_host, hosts)
        orders = [remote.order(host, _locust(given), _environment(given.env)) for host in hosts]
    except HostsError as error:
        return _refused(str(error))
    try:
        links = [Link(host, order, given.ssh_config, show) for host, order in zip(hosts, orders, strict=True)]
    except FileNotFoundError:
        return _refused("there is no ssh here (Debian: apt install openssh-client)")
    follower = Follower(links)
    follower.listen_to_signals()
    try:
        return _follow(follower, given)
    finally:
        follower.close()


def _follow(follower: Follower, given: argparse.Namespace) -> int:
    links = follower.links
    failed = follower.connect()
    for link in failed:
        _say(f"{link.host.label}: {link.fault}")
    ready = [link for link in links if link.state is State.READY]
    if given.check:
        for link in ready:
            hello = link.hello
            _say(
                f"{link.host.label}: in order: Python {hello['python']}, triton-users {hello['package']}, "
                f"Locust {hello['locust']}, {hello['cores']} cores, {link.host.workers} workers asked for"
            )
    refused = bool(failed) and (not given.keep_going or not ready)
    if given.check or refused or follower.signalled():
        follower.stop()
        if refused and not given.check:
            _say("nothing was started; --keep-going starts on the hosts that are in order")
        return follower.signalled() or (EXIT_REFUSED if failed else 0)
    logs = given.logs or LOGS / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        follower.stop()
        return _refused(
            f"cannot make {logs}: {(error.strerror or str(error)).lower()}; name another by --logs"
        )
    count = sum(link.host.workers for link in ready)
    _say(
        f"starting {count} workers on {len(ready)} hosts for {given.master_host}:{given.master_port}; "
        f"logs in {logs}"
    )
    follower.run(logs)
    if follower.signalled():
        _say("stopping the workers; once more does not wait for them")
    follower.stop()
    return _result(follower)


def _result(follower: Follower) -> int:
    """Say what came of it; the exit code."""
    bad = 0
    for link in follower.links:
        if link.state is State.LOST:
            bad += 1
            _say(f"{link.host.label}: {link.fault}")
        bad += sum(1 for code in link.codes.values() if code)
    ended = sum(len(link.codes) for link in follower.links)
    if follower.signalled():
        _say(f"stopped: {ended} workers ended")
        return follower.signalled()
    _say(
        f"{ended} workers ended" + (f"; {bad} failed or lost: see their lines above" if bad else ", all well")
    )
    return EXIT_FAILED if bad or any(link.state is State.FAILED for link in follower.links) else 0


def _locust(given: argparse.Namespace) -> list[str]:
    master = ["--master-host", given.master_host, "--master-port", str(given.master_port)]
    return ["-m", "locust", "-f", given.locustfile, "--worker", *master]


def _environment(names: Sequence[str]) -> dict[str, str]:
    """What the workers get of ours: only what was named. Raises HostsError."""
    wrong = [name for name in names if not re.fullmatch(r"[A-Za-z_]\w*", name)]
    if wrong:
        raise HostsError(
            "--env takes a variable's name alone, and its value from the environment here, so that no secret "
            f"stands on a command line: {', '.join(name.partition('=')[0] for name in wrong)}"
        )
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise HostsError(f"--env: {', '.join(missing)} not set here")
    return {name: os.environ[name] for name in names}


def _refuse_loopback(master: str, hosts: Sequence[Host]) -> None:
    """Raises HostsError: on another machine, loopback is that machine."""
    others = [host.label for host in hosts if not host.is_loopback]
    if is_loopback(master) and others:
        raise HostsError(
            f"--master-host {master} means each host itself: give the address under which "
            f"{', '.join(others)} can reach the master"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.hosts",
        description="Start workers on plain machines over SSH, follow them, collect their logs, stop them.",
        epilog="The master runs where you start it: locust -f FILE --headless --master --expect-workers N …",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--hosts", type=Path, required=True, metavar="FILE", help="hosts file; see infra/hosts/hosts.example")
    add("--master-host", required=True, metavar="HOST", help="the master's address, as the hosts reach it")
    add(
        "--master-port",
        type=int,
        default=5557,
        metavar="PORT",
        help="the master's port (default: %(default)s)",
    )
    add("--workers", type=int, default=1, metavar="N", help="workers per host without workers= (default: 1)")
    python = parser.add_mutually_exclusive_group()
    python.add_argument(
        "--venv", metavar="FOLDER", help="virtual environment on the hosts that has the package"
    )
    python.add_argument("--python", default="python3", help="or its interpreter (default: %(default)s)")
    add("-f", "--locustfile", default="-", metavar="FILE", help="on the hosts; - is the master's (default)")
    add("--env", action="append", default=[], metavar="NAME", help="pass this variable on; repeatable")
    add("--logs", type=Path, metavar="FOLDER", help=f"for the workers' logs (default: {LOGS}/<UTC time>)")
    add("--ssh-config", type=Path, metavar="FILE", help="for ssh -F (default: ~/.ssh/config)")
    add("--keep-going", action="store_true", help="start even when some hosts are not in order")
    add("--check", action="store_true", help="only see whether every host is in order")
    return parser


def _say(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"triton-users: {text}\n")


def _refused(text: str) -> int:
    for line in text.splitlines():
        _say(line)
    return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
