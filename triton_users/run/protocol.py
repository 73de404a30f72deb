"""What master and workers say to each other: small frozen values, packed by msgpack.

Locust carries them in one message type each way, one of its own with one or several of ours. The handlers
only append to an inbox, since Locust's receive loop must not be held up; whoever owns the inbox reads it in a
greenlet of its own.

Messages may get lost when a connection breaks, so none is needed twice to be understood and all may be
repeated: each Beat says where its worker is, and the master sends again what that worker still lacks. Leases
alone are sent once: Done tells which have come, and the rest is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgpack

from triton_users.options.settings import Settings
from triton_users.step import Flow, Lease, RequestClass, Step
from triton_users.units import RequestRate

DOWN = "triton_down"
UP = "triton_up"


# From the master


@dataclass(frozen=True, slots=True)
class RunStart:
    """A run begins. ``server`` is HOST:PORT, ``worker`` this worker's number, ``folder`` where results that
    stay with the worker go."""

    run: str
    folder: str
    seed: int
    server: str
    worker: int
    settings: Settings


@dataclass(frozen=True, slots=True)
class StepPrepare:
    """Make payloads and connections ready for a step, then answer Ready."""

    step: Step


@dataclass(frozen=True, slots=True)
class StepBegin:
    """A prepared step starts at ``t0_ns`` on the run's axis, whose zero on the worker's clock is ``zero_ns``;
    ``max_in_flight`` is the worker's share of the in-flight cap."""

    step: int
    t0_ns: int
    zero_ns: int
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Leases, perhaps none, with the master's clock as it was sent: also the sign that the master lives.
    ``max_in_flight`` is the worker's share of the in-flight cap from now on (0: as it was), ``acks`` are
    windows that are on the master's disk."""

    leases: tuple[Lease, ...]
    sent_ns: int
    max_in_flight: int = 0
    acks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StepEnd:
    """Stop sending, drain for at most ``drain_ns``, answer Done. The step ends at ``end_ns`` on the run's
    axis, if that is still to come on the worker's clock. ``missing`` are windows to send again."""

    step: int
    drain_ns: int
    end_ns: int
    missing: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """Close the run: connections drain and close, payloads go."""

    run: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker may not take part, and why: it ends."""

    reason: str


# From a worker. What belongs to a run names it: messages may be late.


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is here: sent at the end of Locust's ``init``, again until the master speaks. ``digest`` is
    that of its locustfile, ``fingerprint`` that of the schedules it makes, ``address`` its own on the way to
    the master. Other versions may lack or add fields."""

    version: str
    fingerprint: str = ""
    digest: str = ""
    host: str = ""
    pid: int = 0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A step is prepared, or why not."""

    run: str
    step: int
    error: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """Alive, at ``at_ns`` of the worker's clock; ``sent_ns`` echoes the Grant that it answers, which came
    ``held_ns`` before. ``run`` is the run it knows, ``prepared`` and ``begun`` the steps it has prepared and
    begun last (-1: none)."""

    sent_ns: int
    at_ns: int
    run: str
    prepared: int
    begun: int
    held_ns: int = 0


@dataclass(frozen=True, slots=True)
class WindowSent:
    """One window, packed by stats.codec."""

    run: str
    seq: int
    packed: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A step has drained; ``last_seq`` is its last window. ``stopped_ns`` is when sending ended (run's axis);
    ``connections_lost`` counts those that broke; ``leases`` are those that came, neighbours as one;
    ``unsaved`` says why requests that were to be saved are not. One that nobody asked for: the worker
    leaves."""

    run: str
    step: int
    last_seq: int
    stopped_ns: int
    connections_lost: int = 0
    leases: tuple[Lease, ...] = ()
    unsaved: str | None = None


_TYPES: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        RunStart, StepPrepare, StepBegin, Grant, StepEnd, RunEnd, Refused,
        Hello, Ready, Beat, WindowSent, Done,
        Settings, Step, Flow, Lease, RequestClass, RequestRate,
    )
}  # fmt: skip
_FIELDS = {cls: tuple(field.name for field in fields(cls)) for cls in _TYPES.values()}
"""Looked up once: asking a dataclass for its fields takes as long as packing it."""


def encode(*messages: Any) -> bytes:
    """Pack this module's values; one alone goes without the list, as all versions know it."""
    packed: bytes = msgpack.packb(messages if len(messages) > 1 else messages[0], default=_plain)
    return packed


def decode(packed: bytes) -> tuple[Any, ...]:
    """The values again; sequences become tuples. Raises ValueError for what is not ours."""
    try:
        found = msgpack.unpackb(packed, use_list=False, object_hook=_value, strict_map_key=False)
        return found if isinstance(found, tuple) else (found,)
    except (KeyError, TypeError, ValueError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"not a message of ours: {error}") from error


def _plain(value: Any) -> dict[str, Any]:
    cls = type(value)
    if cls not in _FIELDS:
        raise TypeError(f"cannot send {cls.__name__}")
    return {"!": cls.__name__} | {name: getattr(value, name) for name in _FIELDS[cls]}


def _value(found: dict[Any, Any]) -> Any:
    name = found.pop("!", None)
    if name is None:
        return found
    cls = _TYPES[name]
    known = _FIELDS[cls]
    return cls(**{key: value for key, value in found.items() if key in known})
