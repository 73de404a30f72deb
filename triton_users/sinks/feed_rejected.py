"""rejected.jsonl: the points that the database will never take, with its reason."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path


class Rejected:
    """Keeps points in ``path``, which is begun anew: who writes the spool again tries them all again.

    ``lost`` counts those for which there was no room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def keep(self, points: Sequence[str], status: int, reason: str) -> None:
        """A line of JSON for each point: ``status`` is HTTP's, 0 if the point was never sent."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                for point in points:
                    file.write(json.dumps({"status": status, "reason": reason, "point": point}) + "\n")
        except OSError:
            self.lost += len(points)
