"""The results folder: one for each run, with run.json from its first moment on."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from triton_users import units
from triton_users.clock import wall_text
from triton_users.sinks.atomic import write_json
from triton_users.sinks.redact import plain, redact_command, redact_options

PACKAGES = ("triton-users", "locust", "tritonclient", "numpy", "gevent")
"""Packages whose versions a result names: with another one the numbers may differ."""


class ResultsError(Exception):
    """The results cannot be written or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What is known at the start of a run. ``zero_wall_ns``: nanoseconds since the epoch at zero of the run's
    axis; ``options`` may hold secrets, they are not written."""

    id: str
    seed: int
    zero_wall_ns: int
    command: Sequence[str]
    options: Mapping[str, Any]
    versions: Mapping[str, str | None]
    hosts: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """As run.json holds it, without secrets."""
        return {
            "schema": 1,
            "id": self.id,
            "seed": self.seed,
            "started_at": wall_text(self.zero_wall_ns),
            "zero_wall_ns": self.zero_wall_ns,
            "command": redact_command(self.command),
            "options": redact_options(self.options),
            "versions": dict(self.versions),
            "hosts": list(self.hosts),
        }


class ResultsFolder:
    """The folder of one run and the paths in it.

    ``create`` makes it, ``update`` adds what becomes known later (Triton's version, the hosts, how it ended).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._record: dict[str, Any] = {}

    @classmethod
    def create(cls, parent: Path | str, locustfile: str, record: RunRecord) -> ResultsFolder:
        """Make ``parent/<UTC time>-<locustfile stem>-<run id>/`` with its run.json, both or nothing.

        Raises ResultsError when that is not possible.
        """
        path = Path(parent) / folder_name(record.zero_wall_ns, locustfile, record.id)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except OSError as error:
            raise ResultsError(_advice(path, error)) from error
        folder = cls(path)
        try:
            folder.update(record.as_dict())
        except ResultsError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return folder

    def update(self, values: Mapping[str, Any]) -> None:
        """Put values into run.json without their secrets; mappings are merged one level deep.

        Raises ResultsError.
        """
        for key, value in values.items():
            known, new = self._record.get(key), plain(value)
            self._record[key] = {**known, **new} if isinstance(known, dict) and isinstance(new, dict) else new
        try:
            write_json(self.run_json, self._record)
        except OSError as error:
            raise ResultsError(_advice(self.run_json, error)) from error

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def windows(self) -> Path:
        """The spool."""
        return self.path / "windows.jsonl"

    @property
    def summary_json(self) -> Path:
        return self.path / "summary.json"

    @property
    def summary_csv(self) -> Path:
        return self.path / "summary.csv"

    @property
    def summary_svg(self) -> Path:
        return self.path / "summary.svg"

    @property
    def latency_hlog(self) -> Path:
        return self.path / "latency.hlog"

    @property
    def server_log(self) -> Path:
        """Output of the embedded server."""
        return self.path / "server.log"

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        """As a person would type it: relative where it lies below the working directory."""
        with contextlib.suppress(ValueError):
            return str(self.path.resolve().relative_to(Path.cwd())) + "/"
        return f"{self.path}/"


def folder_name(zero_wall_ns: int, locustfile: str, run_id: str) -> str:
    """``20260131T235959Z-sr-4f2a``: sorts by time, and is a plain file name on every system."""
    time = datetime.fromtimestamp(zero_wall_ns // units.NS_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
    stem = re.sub(r"[^\w.-]+", "-", Path(locustfile).stem).strip("-.") or "run"
    return f"{time}-{stem}-{run_id}"


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a result depends on; null for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """While a run's last files are written: an OSError becomes a ResultsError that says what to do."""
    try:
        yield
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}; free some space") from error


def _advice(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"cannot write results to {path}: {reason[:1].lower()}{reason[1:]}; "
        "give a folder that you may write to, with space left, by --results DIR"
    )
