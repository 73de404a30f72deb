"""The spool: windows.jsonl, one line a second, on disk before anyone relies on it.

Each line reaches the operating system before ``append`` returns, so a killed process loses at most the second
it was in. A line whose write was cut short is taken back, so that a full disk costs whole lines and
never the readability of the others; it waits for room, and later ones behind it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from triton_users.sinks.folder import ResultsError

logger = logging.getLogger(__name__)

Settled = Callable[[], None]

WAITING_BYTES = 1 << 20
"""Of lines for which there is no room yet: a minute or more of a run."""
_CHUNK_BYTES = 1 << 20


def to_json(line: Mapping[str, Any]) -> bytes:
    """A line as the spool has it, without its end: arrays are written as lists."""
    return orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY)


class Spool:
    """Appends lines to ``path``. ``lost`` counts the lines that will never reach it: those beyond
    ``WAITING_BYTES`` of waiting ones, and at ``close`` those that still wait, or all if the file is gone.

    Opening raises ResultsError; afterwards nothing raises: a load test does not end for a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0
        self.lost = 0
        self._waiting: deque[tuple[bytes, Settled]] = deque()
        self._waiting_bytes = 0
        self._warned = False
        try:
            self._file: int | None = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise ResultsError(
                f"cannot write {path}: {error.strerror}; give a folder that you may write to by --results DIR"
            ) from error

    def append(self, line: Mapping[str, Any] | str, settled: Settled = lambda: None) -> None:
        """Write one line (a mapping), or lines that are JSON already, without the last one's end.
        ``settled`` is called when the operating system has them, or when they are given up."""
        data = (line.encode() if isinstance(line, str) else to_json(line)) + b"\n"
        self._waiting.append((data, settled))
        self._waiting_bytes += len(data)
        if self._file is not None:
            self._write_waiting(self._file)
        if self._file is None or self._waiting_bytes > WAITING_BYTES:
            self._give_up()

    def close(self) -> None:
        """Close the file; lines that wait and later ones are lost. Twice does no harm."""
        if self._file is not None:
            self._write_waiting(self._file)
            while self._waiting:
                self._give_up()
            if not os.fstat(self._file).st_nlink:  # somebody has removed the file meanwhile
                self.lost, self.written = self.lost + self.written, 0
            os.close(self._file)
            self._file = None

    def _write_waiting(self, file: int) -> None:
        while self._waiting:
            data, settled = self._waiting[0]
            try:
                _write(file, data)
            except OSError as error:
                self._warn(error.strerror or str(error))
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self.written += data.count(b"\n")
            settled()

    def _give_up(self) -> None:
        data, settled = self._waiting.pop()
        self._waiting_bytes -= len(data)
        self.lost += data.count(b"\n")
        settled()

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Cannot write %s: %s. The run goes on, and its next %s kB wait in memory; after that seconds "
                "will be missing: free some space.",
                self.path,
                reason[:1].lower() + reason[1:],
                WAITING_BYTES // 1024,
            )


def _write(file: int, data: bytes) -> None:
    """All of it or nothing. Raises OSError."""
    start = os.fstat(file).st_size
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, start)
        raise


class SpoolReader:
    """Reads a spool, also while it grows: ``poll`` returns the whole lines that came since the last time.

    A last line without its end is left for the next time; in a finished file it is a torn one, and
    ``torn_bytes`` says how long it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.torn_bytes = 0
        self._line = 0

    def poll(self) -> Iterator[dict[str, Any]]:
        """Raises ResultsError if the file cannot be read or a finished line in it is not JSON."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                rest = b""
                while chunk := file.read(_CHUNK_BYTES):
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self.offset += len(line) + 1
                        self._line += 1
                        yield self._parse(line)
        except OSError as error:
            raise ResultsError(f"cannot read {self.path}: {error.strerror}") from error
        self.torn_bytes = len(rest)

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(line)
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise ResultsError(
                f"line {self._line} of {self.path} is damaged ({error}); remove that line to read the others"
            ) from error
        return value


def read_spool(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a spool, in the order in which they were written. Raises ResultsError."""
    return list(SpoolReader(path).poll())
