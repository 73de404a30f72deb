"""``python -m triton_users COMMAND``: what is not a load test. Each command loads only what it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "options": ("triton_users.options.command:main", "print the options of a load test, beside Locust's own"),
    "replay": ("triton_users.sinks.feed_command:replay", "write the results of a run to InfluxDB"),
    "feed": ("triton_users.sinks.feed_command:feed", "write a run to InfluxDB as it goes"),
    "agent": ("triton_users.collect.agent:main", "measure this host for a run elsewhere"),
    "models": ("triton_users.demo.command:main", "build the demo models for a Triton of your own"),
}
"""By name: where it is, and what it does. A command takes its arguments and returns the exit code."""

USAGE = "usage: python -m triton_users COMMAND [--help]\n\n" + "\n".join(
    f"  {name:8} {text}" for name, (_, text) in COMMANDS.items()
)


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"triton-users: there is no command {name!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    module, function = COMMANDS[name][0].split(":")
    return int(getattr(importlib.import_module(module), function)(rest) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
