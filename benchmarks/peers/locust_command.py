"""What the peers that run inside `locust` share."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USERS = ROOT / "benchmarks" / "users"


def locust(locustfile: Path) -> list[str]:
    """The command of this environment, without a terminal UI."""
    return [str(Path(sys.executable).parent / "locust"), "-f", str(locustfile), "--headless"]
