"""The ssh command of a host, what goes through it, and what its failures mean."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.hosts.hosts_file import Host

CONNECT_S = 10
SILENCE_S = 30
"""A connection that says nothing for so long is lost, for either side."""

STOP_S = 10
"""A worker that was asked to end is killed after so long."""

MINIMUM_PYTHON = (3, 11)
SSH_FAILED = 255
NOT_FOUND = (126, 127)

BOOT = (
    'o=__import__("json").loads(open(0,"rb",0,closefd=False).readline());'
    'exec(o.pop("source"),{"ORDER":o,"__name__":"__main__"})'
)
"""All that a process list on the host shows. The keeper and its order come through standard input, unbuffered
so that it takes no byte too much. No single quote is in it: any login shell takes it in single quotes."""

MEANINGS = (
    (
        "Permission denied",
        "the key was refused",
        "put your public key there (ssh-copy-id), or name it in ~/.ssh/config",
    ),
    (
        "Host key verification failed",
        "its host key is unknown or has changed",
        "compare the key, then add it to known_hosts (ssh once by hand)",
    ),
    ("Could not resolve hostname", "its name is unknown", "correct the hosts file, or give the address"),
    ("Connection refused", "nothing listens there", "start sshd there, or give its port: host:port"),
    ("Connection timed out", "no answer", "is it switched on, and does a firewall let port 22 through?"),
    ("No route to host", "it cannot be reached", "is it switched on, and on this network?"),
    ("Network is unreachable", "it cannot be reached", "is it on this network?"),
    (
        "Bad configuration option",
        "ssh does not take its configuration",
        "correct the file that --ssh-config names",
    ),
    ("Can't open user config file", "ssh does not find its configuration", "correct --ssh-config"),
)
"""What ssh says, what that is, and what to do."""


def ssh_command(host: Host, config: Path | None) -> list[str]:
    """It asks nothing, and gives up on its own when the host falls silent."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": CONNECT_S,
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": SILENCE_S // 5,
        "ControlMaster": "no",
        "ControlPath": "none",  # a connection of its own: it ends with this command
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "LogLevel": "ERROR",
    }
    command = ["ssh", "-T"]
    command += [] if config is None else ["-F", str(config)]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    command += [] if host.port is None else ["-p", str(host.port)]
    command += [] if host.user is None else ["-l", host.user]
    return [*command, "--", host.name, f"exec {shlex.quote(host.python)} -u -c {shlex.quote(BOOT)}"]


def order(host: Host, arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """The first line through standard input: the keeper, and what it has to do."""
    what: dict[str, Any] = {
        "source": Path(__file__).with_name("keeper.py").read_text(encoding="utf-8"),
        "workers": host.workers,
        "arguments": list(arguments),
        "environment": {"PYTHONUNBUFFERED": "1", **environment},
        "silence_s": SILENCE_S,
        "stop_s": STOP_S,
    }
    return json.dumps(what).encode() + b"\n"


def ssh_failure(host: Host, code: int, said: Sequence[str]) -> str:
    """Why there is no keeper on the host, and what to do."""
    text = "\n".join(said)
    if code == SSH_FAILED or code < 0:
        for sign, meaning, advice in MEANINGS:
            if sign.lower() in text.lower():
                return f"{meaning}: {advice}"
        return f"ssh ended with {code}: {last(said)}"
    if code in NOT_FOUND:
        return f"there is no {host.python} on it: give --venv or --python, or venv= in the hosts file"
    return f"{host.python} ended with {code} on it: {last(said)}"


def last(said: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(said) if line.strip()), "no word of why")


def what_is_missing(host: Host, hello: Mapping[str, Any]) -> str | None:
    """Why the host cannot run workers, by the keeper's first words; None when it can."""
    version = tuple(int(part) for part in str(hello["python"]).split(".")[:2])
    if version < MINIMUM_PYTHON:
        return (
            f"{host.python} is Python {hello['python']}, and 3.11 is needed: "
            "name another by --venv or --python"
        )
    missing = [
        name for name, key in (("triton-users", "package"), ("locust", "locust")) if hello[key] is None
    ]
    if missing:
        return (
            f"{host.python} has no {' and no '.join(missing)}: install triton-users for it there, "
            "or name the interpreter that has it by --venv or --python"
        )
    return None
