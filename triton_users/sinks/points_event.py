"""Events and the agents' samples as points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triton_users.sinks.points import point
from triton_users.units import NS_PER_MS, NS_PER_US

Tags = dict[str, str]
Line = Mapping[str, Any]

_RESERVED = ("run", "source", "host")


def event_point(line: Line, tags: Tags, zero_wall_ns: int) -> str | None:
    """The point of a spool's line of kind "event". Events of one instant differ in the nanoseconds."""
    exact = zero_wall_ns + int(line["at_ns"])
    at = exact // NS_PER_US * NS_PER_US + int(line["number"]) % NS_PER_US
    until = line.get("until_ns")
    fields = {
        "title": line["title"],
        "text": line["text"],
        "step_index": line.get("step"),
        "until_ms": None if until is None else (zero_wall_ns + int(until)) // NS_PER_MS,
    }
    return point("events", tags | {"event": line["event"], "severity": line["severity"]}, fields, at)


def sample_point(line: Line, tags: Tags, zero_wall_ns: int) -> str | None:
    """The point of a spool's line of kind "sample". Labels that are called like a tag of ours get
    an underscore."""
    own = tags | {"source": str(line["source"]), "host": str(line["host"])}
    for name, text in (line.get("labels") or {}).items():
        own[f"{name}_" if name in _RESERVED else str(name)] = str(text)
    fields = {str(name): float(value) for name, value in line["values"].items() if value is not None}
    return point("sample", own, fields, zero_wall_ns + int(line["at_ns"]))
