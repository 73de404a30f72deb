"""requests-<worker>.npz: one row for every request of a worker, for --save-requests.

Columns, as ``numpy.load`` gives them: ``index`` (the arrival's number in its flow's schedule, -1 where not
known), ``arrival_ns``, ``sent_ns``, ``done_ns`` (ns on the run's axis; -1 where a request was never sent or
never ended), ``status`` (gRPC's number, ours from 100 on), ``class`` (a position in ``classes``). Beside them
``classes`` and ``flows``, texts by that position. Long runs continue in requests-<worker>-2.npz and so on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triton_users.names import class_name
from triton_users.sinks.atomic import replacing
from triton_users.sinks.folder import ResultsError
from triton_users.stats.request_log import RequestRows
from triton_users.stats.result import Owner

ROWS_PER_FILE = 5_000_000
"""About 200 MB a file."""

ZIP_BYTES = 1 << 14
"""More than what an archive of these columns needs beside them."""

NONE = -1

Ints = npt.NDArray[np.int64]
_FILE = re.compile(r"requests-(\d+)(?:-(\d+))?\.npz")


@dataclass(frozen=True, slots=True, eq=False)
class SavedRequests:
    """Rows read back, by worker and arrival. ``cls`` is a position in ``classes`` and ``flows``."""

    worker: Ints
    index: Ints
    arrival_ns: Ints
    sent_ns: Ints
    done_ns: Ints
    status: npt.NDArray[np.uint8]
    cls: npt.NDArray[np.uint16]
    classes: tuple[str, ...]
    flows: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.arrival_ns)


class RequestsWriter:
    """Writes one worker's rows, which are on the run's axis."""

    def __init__(self, folder: Path, worker: int, rows_per_file: int = ROWS_PER_FILE) -> None:
        self._folder, self._worker, self._rows_per_file = folder, worker, rows_per_file
        self._files = 0

    def add(self, rows: RequestRows, owners: Sequence[Owner], index: Ints | None = None) -> None:
        """Write rows to the next files: all of a run, or each step's in turn.

        ``owners`` are the recorder's by tag, ``index`` (i8[n]) the schedule's numbers. Raises ResultsError.
        """
        for start in range(0, len(rows), self._rows_per_file):
            self._write(self._columns(rows, index, slice(start, start + self._rows_per_file)), owners)

    def _columns(self, rows: RequestRows, index: Ints | None, part: slice) -> dict[str, Any]:
        sent, done = rows.sent_ns[part], rows.done_ns[part]
        arrival = rows.arrival_ns[part]
        return {
            "index": np.full(len(arrival), NONE, np.int64) if index is None else index[part],
            "arrival_ns": arrival,
            "sent_ns": np.where(sent == 0, NONE, sent),
            "done_ns": np.where(done == 0, NONE, done),
            "status": rows.status[part],
            "class": rows.tag[part],
        }

    def _write(self, columns: dict[str, Any], owners: Sequence[Owner]) -> None:
        self._files += 1
        more = "" if self._files == 1 else f"-{self._files}"
        path = self._folder / f"requests-{self._worker}{more}.npz"
        columns["classes"] = np.array([class_name(cls) for _, cls in owners], np.str_)
        columns["flows"] = np.array([flow for flow, _ in owners], np.str_)
        try:
            # The worker may run on another host than the master, which made the folder.
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                # A ZipFile that a full disk cuts off complains again when it is collected.
                _reserve(file.fileno(), sum(column.nbytes for column in columns.values()) + ZIP_BYTES)
                np.savez(file, **columns)
                file.truncate()
        except OSError as error:
            raise ResultsError(f"cannot write {path}: {error.strerror}") from error


def _reserve(file: int, size: int) -> None:
    """Raises OSError where the disk has no room."""
    if hasattr(os, "posix_fallocate"):  # macOS has it not
        os.posix_fallocate(file, 0, size)


def read_requests(folder: Path) -> SavedRequests:
    """All rows of all workers in a results folder. Raises ResultsError without any, or for another file."""
    names = [(match, path) for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))]
    if not names:
        raise ResultsError(f"{folder} has no saved requests; run with --save-requests")
    known: dict[tuple[str, str], int] = {}
    ordered = sorted(names, key=lambda item: (int(item[0][1]), int(item[0][2] or 1)))
    parts = [_read(path, int(match[1]), known) for match, path in ordered]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[2], columns[0]))
    worker, index, arrival, sent, done, status, cls = (column[order] for column in columns)
    classes, flows = tuple(zip(*known, strict=True)) or ((), ())
    return SavedRequests(worker, index, arrival, sent, done, status, cls, classes, flows)


def _read(path: Path, worker: int, known: dict[tuple[str, str], int]) -> Iterator[npt.NDArray[Any]]:
    try:
        with np.load(path) as found:
            owners = list(zip(found["classes"].tolist(), found["flows"].tolist(), strict=True))
            # Each worker numbers its classes as they come; here they get common numbers.
            common = np.array([known.setdefault(owner, len(known)) for owner in owners] or [0], np.uint16)
            rows = len(found["arrival_ns"])
            names = ("index", "arrival_ns", "sent_ns", "done_ns", "status")
            columns = [np.full(rows, worker, np.int64), *(found[name] for name in names)]
            return iter([*columns, common[found["class"]]])
    except (OSError, ValueError, KeyError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
