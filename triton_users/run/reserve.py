"""Room on the disk for a run's last files: taken at its start, given back when they are written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SIZE = 256 * 1024
"""What summary.json, summary.csv, summary.svg and latency.hlog of an ordinary run need together."""


class Reserve:
    """A file that takes up ``SIZE`` bytes. Nothing raises: a full disk has none to give."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE)
            except AttributeError:  # macOS has no such call
                os.write(file, bytes(SIZE))
            finally:
                os.close(file)

    def free(self) -> None:
        """Give the room back. Twice does no harm."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
