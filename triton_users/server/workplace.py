"""An embedded server's temporary place: its backend directory, and its Python backend's shared memory.

A process that is killed clears nothing up, so each place holds a lock for as long as its owner lives, and
each new one sweeps away those whose lock is free, with their shared memory.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from pathlib import Path

from triton_users.server.installed import Installation

PREFIX = "triton-users-"
SHARED_MEMORY = Path("/dev/shm")


class Workplace:
    """A new folder under the system's temporary one; gone after `remove`, or when the next one is made.

    Raises OSError where no folder can be made.
    """

    def __init__(self, installed: Installation) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Held through the file descriptor: the kernel lets go of it when we die.
        self._lock = os.open(self.path / "locking", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.path / "locking").rename(self.path / "lock")  # seen by others' sweeps only once it is locked
        self.backends = self.path / "backends"
        python = self.backends / "python"
        python.mkdir(parents=True)
        # Triton looks for the stub beside the backend; links, since copies of 3 MB would only cost time.
        for part in (*installed.python_backend.iterdir(), installed.stub):
            if part.is_file():
                (python / part.name).symlink_to(part)

    @property
    def region_prefix(self) -> str:
        """The name that the Python backend's shared memory regions start with."""
        return self.path.name

    def remove(self) -> None:
        """Idempotent; the server must have ended."""
        if self._lock >= 0:
            _clear(self.path)
            os.close(self._lock)
            self._lock = -1


def sweep() -> None:
    """Remove the places of owners that died without doing so themselves."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        try:
            if path.parent.lstat().st_uid != os.geteuid():  # the temporary folder is everybody's
                continue
            lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # gone just now
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(path.parent)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _clear(path: Path) -> None:
    for region in SHARED_MEMORY.glob(f"{glob.escape(path.name)}*"):
        region.unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
