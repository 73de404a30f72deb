"""Settings: what the options, the environment, the web form and the user class ask for, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sized
from dataclasses import asdict, dataclass
from typing import Any

from triton_users import units
from triton_users.options import values as option_values
from triton_users.options.conflicts import Layers, resolve
from triton_users.options.faults import Fault, OptionError
from triton_users.options.option import HOST_ADVICE, Option
from triton_users.options.table import OPTIONS
from triton_users.options.values import Shapes
from triton_users.step import MAX_IN_FLIGHT
from triton_users.units import NS_PER_S, RequestRate

__all__ = ["Fault", "OptionError", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings of one run. Durations are nanoseconds; None means off, not given or drawn later.

    ``host`` is HOST:PORT or None (start the embedded server). ``users`` is set when Locust's -u asks for one
    closed-loop step; then ``concurrency`` and ``request_rates`` are empty. ``batch_mix`` and ``shape_mix``
    are (value, weight); shapes have no batch dimension. ``warm_up_ns`` None: the plan decides.
    """

    host: str | None = None
    users: int | None = None
    spawn_rate: float | None = None
    run_time_ns: int | None = None
    exit_code_on_error: int = 1
    model: str | None = None
    model_version: str = ""
    batch_sizes: tuple[int, ...] = (1,)
    concurrency: tuple[int, ...] = ()
    request_rates: tuple[RequestRate, ...] = ()
    distribution: str = "poisson"
    warm_up_ns: int | None = None
    interval_ns: int = 5 * NS_PER_S
    batch_mix: tuple[tuple[int, float], ...] = ()
    shape_mix: tuple[tuple[Shapes, float], ...] = ()
    max_in_flight: int = MAX_IN_FLIGHT
    connections: int = 1
    latency_threshold_ns: int | None = None
    request_timeout_ns: int | None = None
    shapes: Shapes = ()
    input_data: str = "random"
    string_length: int = 128
    input_count: int = 64
    seed: int | None = None
    drain_ns: int = 30 * NS_PER_S
    wait_ready_ns: int = 30 * NS_PER_S
    results: str = "results"
    influx_url: str | None = None
    influx_bucket: str | None = None
    influx_org: str = ""
    influx_token_file: str | None = None
    influx_drain_ns: int = 30 * NS_PER_S
    save_requests: bool = False
    dry_run: bool = False
    realtime: bool = False
    no_agent: bool = False
    metrics_url: str | None = None
    metrics_interval_ns: int = NS_PER_S
    agents: tuple[str, ...] = ()
    agent_token_file: str | None = None

    @classmethod
    def read(
        cls, options: Any, defaults: Mapping[str, Any] | None = None, *, filled_in_users: int | None = None
    ) -> Settings:
        """Reads Locust's parsed options over the user class's ``defaults`` over the table's.

        ``defaults`` are keyed by the long option's name with underscores, and by ``host``; their values are
        what the option takes, as text or as Python values ((1, 8), {1: 80, 8: 20}); bare numbers of
        durations have the option's unit. ``filled_in_users`` is for a start from the web form, which always
        has a number of users: that number counts as not chosen wherever a range is given.
        Raises OptionError with every fault.
        """
        faults: list[Fault] = []
        layers = Layers(given={}, user_class={})
        defaults = dict(defaults or {})
        _read_host(options, defaults.pop("host", None), layers, faults)
        for option in OPTIONS:
            _read_option(option, _given(options, option), option.name, layers.given, faults)
            label = f"{option.dest} of the user class"
            value = _from_class(option, defaults.pop(option.dest, None))
            _read_option(option, value, label, layers.user_class, faults)
        faults += [_unknown(key) for key in defaults]
        _read_locust(options, layers, faults)
        chosen = resolve(layers, filled_in_users, faults)
        if faults:
            raise OptionError(faults)
        return cls(**chosen)

    def plain(self) -> dict[str, Any]:
        """For messages and run.json: numbers, text, lists and dicts only."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Settings:
        """The inverse of ``plain``, also after a trip that made lists of tuples."""
        values = {name: _tuples(value) for name, value in plain.items()}
        values["request_rates"] = tuple(RequestRate(**rate) for rate in values["request_rates"])
        return cls(**values)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _given(options: Any, option: Option) -> str | bool | None:
    """The option's text, or None where it was not given; empty fields of the web form are not given."""
    value = getattr(options, option.dest, None)
    if option.parse is None:
        return value is True or str(value).lower() == "true" or None
    if isinstance(value, list | tuple):
        value = ",".join(str(item) for item in value)
    return None if value is None or not str(value).strip() else str(value)


def _from_class(option: Option, value: Any) -> str | bool | None:
    """A Python value of a user class, as the text that the option would have on the command line."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Sized) and not len(value):
        return None
    if isinstance(value, Mapping):
        sign = ":" if option.field == "shapes" else "="
        return ",".join(f"{key}{sign}{_dims(item)}" for key, item in value.items())
    if isinstance(value, list | tuple | range | set | frozenset):
        return ",".join(_dims(item) for item in value)
    return str(value)


def _dims(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _read_option(
    option: Option, value: str | bool | None, label: str, into: dict[str, Any], faults: list[Fault]
) -> None:
    if value is None:
        return
    if option.parse is None:
        if isinstance(value, bool):
            into[option.field] = value
        else:
            faults.append(Fault(label, f"{value!r} is neither True nor False", "write True or False"))
        return
    try:
        into[option.field] = option.parse(str(value))
    except ValueError as error:
        faults.append(Fault(label, str(error), option.advice))


def _unknown(key: str) -> Fault:
    known = [option.dest for option in OPTIONS]
    close = difflib.get_close_matches(key, known, n=1)
    advice = f"write {close[0]}" if close else f"the options are {', '.join(known)}"
    return Fault(f"{key} of the user class", "there is no such option", advice)


def _read_host(options: Any, of_class: Any, layers: Layers, faults: list[Fault]) -> None:
    given = getattr(options, "host", None)
    for value, label, into in (
        (given, "--host", layers.given),
        (of_class, "host of the user class", layers.user_class),
    ):
        if value:
            try:
                into["host"] = option_values.host(str(value))
            except ValueError as error:
                faults.append(Fault(label, str(error), HOST_ADVICE))


def _read_locust(options: Any, layers: Layers, faults: list[Fault]) -> None:
    """Locust's own options that mean something here; Locust has checked their types."""
    users = getattr(options, "num_users", None)
    if users is not None and users < 1:
        faults.append(Fault("--users", f"{users} is less than 1", "give a number of users from 1 on"))
    elif users is not None:
        layers.given["users"] = int(users)
    spawn_rate = getattr(options, "spawn_rate", None)
    if spawn_rate is not None:
        layers.given["spawn_rate"] = float(spawn_rate)
    run_time = getattr(options, "run_time", None)
    if run_time:
        try:
            layers.given["run_time_ns"] = units.parse_duration(str(run_time), "s")
        except ValueError as error:
            faults.append(Fault("--run-time", str(error), "write for example 60s or 5m"))
    code = getattr(options, "exit_code_on_error", None)
    if code is not None:
        layers.given["exit_code_on_error"] = int(code)
