"""One point of InfluxDB as a line of its line protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping

Value = int | float | str
Tags = Mapping[str, str]

_LINE_ENDS = str.maketrans({"\n": " ", "\r": " ", "\t": " ", "\\": "/"})
_KEY = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_TEXT = str.maketrans({'"': '\\"', "\n": " ", "\r": " ", "\\": "/"})

MAX_INTEGER = 2**63 - 1


def point(measurement: str, tags: Tags, fields: Mapping[str, Value | None], at_ns: int) -> str | None:
    """The line, tags in order of their names; None if no field has a value.

    Fields that are None or not finite are left out, and so are tags without text. An integer is an
    InfluxDB integer, a float a float: a field must keep its type for ever.
    """
    shown = [f"{_key(name)}={text}" for name, value in fields.items() if (text := _value(value)) is not None]
    if not shown:
        return None
    return f"{head(measurement, tags)} {','.join(shown)} {at_ns}"


def head(measurement: str, tags: Tags) -> str:
    """Measurement and tags: the name of the series."""
    listed = "".join(f",{_key(name)}={_key(text)}" for name, text in sorted(tags.items()) if text.strip())
    return _key(measurement) + listed


def _key(text: str) -> str:
    return text.translate(_LINE_ENDS).strip().translate(_KEY)


def _value(value: Value | None) -> str | None:
    match value:
        case None:
            return None
        case bool() | int():
            return f"{min(max(int(value), -MAX_INTEGER), MAX_INTEGER)}i"
        case float():
            return repr(value) if math.isfinite(value) else None
        case str():
            return f'"{value.translate(_TEXT)}"'
