"""docs/options.md, made from the option table: ``python -m triton_users.options.page`` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from triton_users.options.option import GROUPS, Option
from triton_users.options.table import OPTIONS

PAGE = Path("docs/options.md")

INTRODUCTION = """\
# Options

Made from the option table by `python -m triton_users.options.page`; do not edit.

Each option can be given on the command line, in the environment (`LOCUST_` and its name in capitals:
`LOCUST_BATCH_SIZE=1,8`), in Locust's configuration file, in the web UI (but for those that concern
the command line alone), and as a default in the user class: `options = {"batch_size": (1, 8)}`. Locust's own
options stay what they are: `-f`, `-H`, `-u`, `-r`, `-t`, `--headless`, `--csv`, `--html` and all others.
`locust --help` shows Locust's own only, for it ends before any locustfile is read;
`python -m triton_users options` prints ours.

Perf Analyzer's long options are here as far as the idea is the same. Its short ones are only where Locust has
no other use for the letter (`-m`, `-b`, `-p`); the others are refused with what to write instead. One never
gets so far: where `-f` is given twice Locust takes the last, and looks for a locustfile `out.csv`.

Durations take units (`500ms`, `5s`, `2m`). Ranges are `start:end:step`, or a list: `1,8,16`."""


def document() -> str:
    """The page's text."""
    parts = (
        "\n".join((f"## {group.removeprefix('Triton: ').capitalize()}", "", *_table(group)))
        for group in GROUPS
    )
    return "\n\n".join((INTRODUCTION, *parts)) + "\n"


def _table(group: str) -> Iterator[str]:
    yield "| option | meaning |"
    yield "|---|---|"
    for option in OPTIONS:
        if option.group == group:
            yield f"| {_usage(option)} | {option.help.replace('|', chr(92) + '|')} |"


def _usage(option: Option) -> str:
    value = f" {option.metavar.strip('<>').upper()}" if option.metavar else ""
    return ", ".join(f"`{flag}{value if flag == option.name else ''}`" for flag in option.flags)


if __name__ == "__main__":
    PAGE.write_text(document(), encoding="utf-8")
