"""The replay as a user types it, and what it must do to any InfluxDB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.influx import Influx


def replay(folder: Path, *arguments: str, token: str = "", code: int = 0) -> str:
    """Run it on a results folder to its exit code; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "triton_users", "replay", str(folder), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"INFLUXDB_TOKEN": token},
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said and (not token or token not in said)
    return said


def writes_all_once(influx: Influx, folder: Path) -> None:
    """A second replay changes nothing."""
    target = influx.target()
    assert f"in {target.bucket} at {influx.url}" in replay(folder, *influx.arguments)
    once = influx.everything()
    assert once
    replay(folder, *influx.arguments)
    assert influx.everything() == once


def refuses_another_type_alone(influx: Influx, folder: Path) -> None:
    """The database has the field "users" as a text by another program: the points with it are named and
    kept, all others written."""
    at = json.loads((folder / "run.json").read_text())["zero_wall_ns"]
    influx.write(f'load,run=other users="many" {at}')
    said = replay(folder, *influx.arguments, code=1)
    assert "refused for good" in said and "field type conflict" in said and "rejected.jsonl" in said
    kept = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert kept and all(one["point"].startswith("load,") for one in kept)
    assert influx.value("SELECT count(ok) FROM window") > 0
