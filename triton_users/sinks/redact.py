"""Keeps secrets out of everything that is written: options, commands, addresses, messages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "***"

SECRET_WORDS = ("token", "password", "secret", "header", "key", "auth", "credential")
"""An option whose name holds one of these has a value that nobody shall read."""

_NAMED = re.compile(
    r"""(?ix) (?P<name> [?&;\s"'] [\w.-]* (?:token|password|secret|key|auth) [\w.-]* = ) [^&\s;"']+"""
)
_USER_INFO = re.compile(r"://[^/\s]*@")
_AUTHORIZATION = re.compile(r"""(?i)(\b(?:proxy-)?authorization\s*[:=]\s*)[^"'\n]+""")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{4,}")


def is_secret(name: str) -> bool:
    """Whether an option of this name holds a secret; argparse takes abbreviations, so ``--to`` may."""
    lowered = name.lower().lstrip("-")
    last = re.split(r"[-_]", lowered)[-1]
    return any(word in lowered or (len(last) > 1 and word.startswith(last)) for word in SECRET_WORDS)


def redact_text(text: str) -> str:
    """The text without the user in URLs, secrets in their queries, and bearer tokens."""
    text = _USER_INFO.sub(f"://{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
    text = _AUTHORIZATION.sub(rf"\g<1>{HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


def redact_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as plain JSON values without secrets; one that is not set (None, "", False) shows."""
    return {
        name: HIDDEN if value and not isinstance(value, bool) and is_secret(name) else plain(value)
        for name, value in options.items()
    }


def redact_command(argv: Sequence[str]) -> str:
    """The command line as one would type it in a shell, without secrets."""
    shown: list[str] = []
    hide_next = False
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if argument.startswith("-"):
            hide_next = is_secret(name) and not equals
            shown.append(f"{name}={HIDDEN}" if equals and is_secret(name) else redact_text(argument))
        else:
            shown.append(HIDDEN if hide_next else redact_text(argument))
            hide_next = False
    return " ".join(argument if argument == HIDDEN else _quote(argument) for argument in shown)


def plain(value: Any) -> Any:
    """The value as JSON can say it; secrets inside texts are hidden, mappings are redacted by their keys."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(value)
        case Mapping():
            return redact_options({str(key): item for key, item in value.items()})
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case _:
            return redact_text(str(value))


def _quote(argument: str) -> str:
    # shlex would put quotes around every argument in which something was hidden.
    return (
        shlex.quote(argument.replace(HIDDEN, "hidden")).replace("hidden", HIDDEN)
        if HIDDEN in argument
        else shlex.quote(argument)
    )
