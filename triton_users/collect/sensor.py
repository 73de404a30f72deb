"""What a sensor is, and what comes out of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SAMPLE, DETAIL, NOTE = "sample", "detail", "note"
"""Kinds of lines: ``detail`` is for the files only, ``note`` for the user."""
RESTART = "restart"
"""The state of a note that what a sensor measures was started again."""


class Absent(Exception):  # noqa: N818 - a state, not an error
    """The sensor does not exist on this host, and will not come: why, in a few words."""


class Failed(Exception):  # noqa: N818 - as Absent
    """The sensor cannot be read now, though it may be again: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Values by metric (see triton_users.metrics) of one thing: a processor, a GPU, a model.

    A value that does not exist is not in it. ``detail``: its names are no metrics, and it is for files only.
    ``fault``: why this one thing, unlike others of the sensor, or a part of it cannot be read now.
    """

    labels: Mapping[str, str]
    values: Mapping[str, float]
    detail: bool = False
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """What is measured was started again since the last look; ``text`` says how that is known."""

    text: str


class Sensor(Protocol):
    """One kind of measurement. Each has a thread of its own, so it may block for a second."""

    source: str
    """Its name."""

    def open(self) -> None:
        """Raises Absent where it does not exist, Failed or OSError where it cannot be read now."""

    def sample(self, now_ns: int) -> Iterable[Reading | Restart]:
        """What it says at ``now_ns``; the first time perhaps nothing, where differences are told.

        Raises Failed or OSError where nothing can be read; it is closed then, and opened again later.
        """

    def close(self) -> None:
        """Let go of everything; also after a failure, and twice."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading with its origin and its instant: on the clock of the agent, or on the run's axis."""

    source: str
    host: str
    at_ns: int
    labels: Mapping[str, str]
    values: Mapping[str, float]
    detail: bool = False

    def line(self) -> str:
        """One line of JSON, as it stands in the spool."""
        return compact(
            {
                "kind": DETAIL if self.detail else SAMPLE,
                "source": self.source,
                "host": self.host,
                "at_ns": self.at_ns,
                "labels": dict(self.labels),
                "values": dict(self.values),
            }
        )


@dataclass(frozen=True, slots=True)
class Note:
    """What the user should know of a sensor. ``state``: "here", "absent", "failed" or "back"; or RESTART of
    what it measures, seen at ``at_ns``, on the clock of its samples."""

    source: str
    host: str
    state: str
    text: str = ""
    at_ns: int | None = None

    def line(self) -> str:
        """One line of JSON, as it stands in the spool."""
        told = {
            "kind": NOTE,
            "source": self.source,
            "host": self.host,
            "state": self.state,
            "text": self.text,
        }
        return compact(told if self.at_ns is None else told | {"at_ns": self.at_ns})


def compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
