"""The web UI of a master with workers: POST /swarm, its end, and another run without a restart."""

from __future__ import annotations

import json
import signal
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

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
            swarm(cluster, port, number, triton.url)
            cluster.master.until(lambda: ready(port), "two workers ready")
        time.sleep(0.5)
    summaries = sorted(cluster.master.results.glob("*/summary.json"))
    for path in summaries:
        summary = json.loads(path.read_text())
        assert summary["run"]["workers"] == 2
        ledger_closes(summary["steps"], [])
        [row] = summary["steps"]
        assert row["audit"]["equal"] is True
        assert row["ok"] == row["scheduled"] == sum(g["requests"] for g in row["generators"])


@pytest.mark.slow
def test_a_worker_that_was_missing_takes_part_in_the_next_run(triton: EmbeddedTriton, tmp_path: Path) -> None:
    port = free_port()
    arguments = ["-H", triton.url, "-m", "identity_16", "--request-rate-range", "200", "-p", "1s", *QUICK]
    web = ["--web-host", "127.0.0.1", "--web-port", str(port)]
    with Cluster(tmp_path, 2, *arguments, *web, headless=False, expect=1) as cluster:
        cluster.master.until(lambda: ready(port), "two workers ready")
        cluster.workers[1].signal(signal.SIGSTOP)
        cluster.master.until(lambda: ready(port, 1), "one is missing")
        swarm(cluster, port, 1, triton.url)
        cluster.workers[1].signal(signal.SIGCONT)
        cluster.master.until(lambda: ready(port), "two workers ready again")
        swarm(cluster, port, 2, triton.url)
    summaries = [json.loads(path.read_text()) for path in cluster.master.results.glob("*/summary.json")]
    counts = {one["run"]["started_at"]: one["run"]["workers"] for one in summaries}
    assert [counts[at] for at in sorted(counts)] == [1, 2], cluster.said()


def swarm(cluster: Cluster, port: int, number: int, url: str) -> None:
    """Run ``number`` of this master, from its start to its summary."""
    answer = ask(port, "/swarm", user_count="1", spawn_rate="1", host=url)
    assert answer["success"], answer
    found = cluster.master.results
    cluster.master.until(lambda: len(list(found.glob("*/summary.json"))) == number, f"run {number}")
    cluster.master.until(lambda: at_rest(port), "stopped")


def at_rest(port: int) -> bool:
    return ask(port, "/stats/requests")["state"] in ("ready", "stopped")


def ready(port: int, workers: int = 2) -> bool:
    try:
        found = ask(port, "/stats/requests")
    except OSError:
        return False
    there = [one for one in found["workers"] if one["state"] != "missing"]
    return found["state"] in ("ready", "stopped") and len(there) == workers
