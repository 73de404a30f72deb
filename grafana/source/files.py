"""The dashboards as files that Grafana reads."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana.source.hardware import hardware
from grafana.source.live import live
from grafana.source.server import server

FOLDER = Path(__file__).parents[1] / "dashboards"
DASHBOARDS = {"live.json": live, "server.json": server, "hardware.json": hardware}


def files() -> dict[str, str]:
    """Each file's text by its name."""
    return {
        name: json.dumps(make(), cls=JSONEncoder, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        for name, make in DASHBOARDS.items()
    }
