"""``python -m triton_users options``: what `locust --help`, which reads no locustfile, cannot show."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from triton_users.options.option import GROUPS
from triton_users.options.table import OPTIONS


def main(arguments: Sequence[str]) -> int:
    """Prints the option table as Locust prints its own options."""
    parser = argparse.ArgumentParser(
        prog="python -m triton_users options",
        description="Print the options that triton-users adds to Locust's.",
        allow_abbrev=False,
    )
    parser.parse_args(arguments)
    print(document(), end="")
    return 0


def document() -> str:
    """The table by groups, in the width of the terminal."""
    parser = argparse.ArgumentParser(
        usage="locust -f FILE [options]",
        description="Beside Locust's own options (locust --help):",
        epilog="Durations take units: 500ms, 5s, 2m. Ranges are start:end:step, or a list: 1,8,16.",
        add_help=False,
    )
    for title in GROUPS:
        group = parser.add_argument_group(title)
        for option in (option for option in OPTIONS if option.group == title):
            text = f"{option.help.replace('%', '%%')} [{option.env_var}]"
            if option.parse is None:
                group.add_argument(*option.flags, help=text, action="store_true")
            else:
                group.add_argument(*option.flags, help=text, metavar=option.metavar)
    return parser.format_help()
