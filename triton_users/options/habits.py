"""Perf Analyzer's short options that mean something else in Locust, told by the value that follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_RANGES = ("--concurrency-range", "--request-rate-range")
_NUMBERS_IN_BOTH = ("-s", "-r")
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def perf_analyzer_habits(argv: Sequence[str]) -> list[str]:
    """One sentence for each option of ``argv`` (without the program) that was meant for Perf Analyzer.

    Each names what to write instead. Values of -H are never quoted: headers carry secrets. -s and -r, numbers
    in both programs, are told by what stands beside them: a range, or another habit.
    """
    told: list[tuple[str, str]] = []
    arguments = list(argv)
    if "--" in arguments:
        arguments = arguments[: arguments.index("--")]
    ranged = any(argument.startswith(_RANGES) for argument in arguments)
    for position, argument in enumerate(arguments):
        hint = _HABITS.get(argument[:2])
        if hint is None:
            continue
        glued = argument[2:].removeprefix("=")
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        value = glued or following
        if message := hint(value):
            told.append(("" if value.endswith("%") else argument[:2], message))
    sure = ranged or any(flag not in _NUMBERS_IN_BOTH for flag, _ in told)
    return [message for flag, message in told if sure or flag not in _NUMBERS_IN_BOTH]


def _url(value: str) -> str | None:
    if not value or re.fullmatch(r"[+-]?\d+", value, re.ASCII) or value.startswith("-"):
        return None
    return f"-u {value}: -u is the number of users here; the server's address is --host {value}"


def _header(value: str) -> str | None:
    if "://" in value or value.startswith("["):
        return None
    key, colon, rest = value.partition(":")
    if not colon or rest.isdigit():
        return None
    return (
        f"-H {key}:…: -H is the server's address here (--host HOST:8001); "
        "request headers cannot be set, so leave it out"
    )


def _csv(value: str) -> str | None:
    if not value.lower().endswith((".csv", ".json", ".txt")):
        return None
    return f"-f {value}: -f is the locustfile here; each run writes summary.csv into the folder --results"


def _stability(value: str) -> str | None:
    if not _NUMBER.fullmatch(value.removesuffix("%")):
        return None
    return (
        f"-s {value}: -s is --stop-timeout in seconds here; Perf Analyzer's --stability-percentage "
        "does not exist, so leave it out"
    )


def _trials(value: str) -> str | None:
    if not value.isdigit():
        return None
    return (
        f"-r {value}: -r is how fast Locust starts the users of -u; Perf Analyzer's --max-trials does not "
        "exist here, so leave it out"
    )


def _threshold(value: str) -> str | None:
    if not re.fullmatch(r"\d+(\.\d+)?(us|ms|s)?", value, re.ASCII):
        return None
    unit = "ms" if _NUMBER.fullmatch(value) else ""
    return (
        f"-l {value}: -l lists the user classes here; the latency budget is --latency-threshold {value}{unit}"
    )


def _concurrency(value: str) -> str | None:
    if not re.fullmatch(r"\d+(:\d+){1,2}", value, re.ASCII):
        return None
    return f"-t {value}: -t is --run-time here; concurrencies are --concurrency-range {value}"


def _protocol(value: str) -> str | None:
    if value.lower() == "grpc":
        return "-i grpc: gRPC is the only protocol here, so leave it out"
    if value.lower() in ("http", "https"):
        return (
            f"-i {value}: requests go by gRPC only; leave it out and give the gRPC port with --host HOST:8001"
        )
    return None


_HABITS: dict[str, Callable[[str], str | None]] = {
    "-u": _url,
    "-H": _header,
    "-f": _csv,
    "-s": _stability,
    "-r": _trials,
    "-l": _threshold,
    "-t": _concurrency,
    "-i": _protocol,
}
