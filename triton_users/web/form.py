"""Locust's start form as options: read into a copy, so that a form with a fault changes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from locust.util.timespan import parse_timespan
from werkzeug.datastructures import MultiDict

from triton_users.options.faults import Fault, OptionError
from triton_users.options.table import OPTIONS

Form = MultiDict[str, str]

_RUN_TIMES = "write for example 60s, 5m or 1h30m, or leave it empty"
_OF_LOCUST: tuple[tuple[str, str, str, Callable[[str], Any], str], ...] = (
    ("user_count", "num_users", "--users", int, "give a whole number of users"),
    ("spawn_rate", "spawn_rate", "--spawn-rate", float, "give users per second"),
    ("run_time", "run_time", "--run-time", parse_timespan, _RUN_TIMES),
    ("host", "host", "--host", str.strip, ""),
)
"""Field of the form, attribute of the options, option, how Locust reads it, and advice."""


def options_of(form: Form, options: Any) -> argparse.Namespace:
    """``options`` with the form's values, empty fields as not given. Raises OptionError with all faults."""
    found = argparse.Namespace(**vars(options))
    faults: list[Fault] = []
    for field, dest, name, read, advice in _OF_LOCUST:
        if field not in form:
            continue
        text = form[field]
        try:
            setattr(found, dest, read(text) if text.strip() else None)
        except (ValueError, OverflowError):
            faults.append(Fault(name, f"{text!r} cannot be read", advice))
    for option in OPTIONS:
        if option.dest not in form:
            continue
        if not option.in_form:
            faults.append(Fault(option.name, "it cannot be set from the web", "give it on the command line"))
        elif option.parse is None:
            setattr(found, option.dest, form[option.dest] == "true")
        else:
            setattr(found, option.dest, ",".join(form.getlist(option.dest)))
    if faults:
        raise OptionError(faults)
    return found
