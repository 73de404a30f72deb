"""The web UI of a master with workers: POST /swarm, its end, and another run without a restart."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.real.cluster import QUICK, Cluster, free_port
from tests.real.locust_process import ledger_closes
from triton_users.server.embedded import EmbeddedTriton


def ask(port: int, path: str, **form: str) -> dict[str, Any]:
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=20) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def test_two_runs_one_after_the_other(triton: EmbeddedTriton, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["-H", triton.url, "-m", "identity_16", "--request-rate-range", "200", "-p", "1s", *QUICK]
    web = ["--web-host", "127.0.0.1", "--web-port", str(port)]
    with Cluster(tmp_path, 2, *arguments, *web, headless=False) as cluster:
        cluster.master.until(lambda: ready(port), "two workers ready")
        for number in (1, 2):
            answer = ask(port, "/swarm", user_count="1", spawn_rate="1", host=triton.url)
            assert answer["success"], answer
            cluster.master.until(
                lambda n=number: len(list(cluster.master.results.glob("*/summary.json"))) == n,  # type: ignore[misc]
                f"run {number}",
            )
            cluster.master.until(lambda: ready(port), "stopped")
        time.sleep(0.5)
    summaries = sorted(cluster.master.results.glob("*/summary.json"))
    for path in summaries:
        summary = json.loads(path.read_text())
        assert summary["run"]["workers"] == 2
        ledger_closes(summary["steps"], [])
        [row] = summary["steps"]
        assert row["audit"]["equal"] is True
        assert row["ok"] == row["scheduled"] == sum(g["requests"] for g in row["generators"])


def ready(port: int) -> bool:
    try:
        found = ask(port, "/stats/requests")
    except OSError:
        return False
    return found["state"] in ("ready", "stopped") and len(found["workers"]) == 2
