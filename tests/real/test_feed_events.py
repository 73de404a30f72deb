"""Faults of a run as its database and its dashboards tell them: a worker and the server, both killed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.grafana_rules import NAMES, TOTALS, Chosen, panels, read
from tests.influx import Influx
from tests.real.cluster import QUICK, Cluster, killed
from tests.real.test_feed_run import replay
from triton_users.clock import wall_ns
from triton_users.units import NS_PER_MS

LOAD = ("-m", "identity_16", "--request-rate-range", "200", "-p", "7s")


def test_a_lost_worker_and_a_restarted_server_are_shown(
    usable_triton: None, influx: Influx, tmp_path: Path
) -> None:
    with Cluster(tmp_path, 2, *LOAD, *QUICK, *influx.arguments) as cluster:
        cluster.measuring(1)
        victim = f"pid {cluster.workers[0].process.pid}"
        worker_killed = wall_ns()
        killed(cluster.workers[0])
        cluster.master.says(f"{victim}) is gone")
        [server] = cluster.master.left("tritonserver")
        server_killed = wall_ns()
        os.kill(server, signal.SIGKILL)
        cluster.master.says("it is started again")
        cluster.ended(1, 4, workers=[1])
    ended = wall_ns()
    assert "InfluxDB: all is written" in cluster.master.output, cluster.said()
    assert cluster.row["ok"] > 0 and cluster.row["errors"]["UNAVAILABLE"] > 0

    spool = (cluster.master.folder / "windows.jsonl").read_text().splitlines()
    lines = [line for line in map(json.loads, spool) if line["kind"] == "event"]
    rows = influx.rows("SELECT title, text, severity, event FROM events")
    assert sorted((row["event"], row["title"]) for row in rows) == sorted(
        (line["event"], line["title"]) for line in lines
    )
    [lost] = [row for row in rows if row["event"] == "worker_lost"]
    assert victim in lost["title"] and lost["severity"] == "error"
    assert worker_killed < lost["time"] < ended
    [restart] = [row for row in rows if row["event"] == "server_restart"]
    assert "SIGKILL" in restart["text"] and restart["severity"] == "error"
    assert server_killed < restart["time"] < ended
    run = [cluster.master.summary["run"]["id"]]
    shown = Chosen(worker_killed // NS_PER_MS - 60_000, ended // NS_PER_MS, 1, {"run": run})
    for name in NAMES:
        dashboard = read(name)
        [query] = [
            one["target"]["query"]
            for one in dashboard["annotations"]["list"]
            if one["name"] == "Workers and server"
        ]
        times = {row["time"] for row in influx.rows(shown.filled(dashboard, query))}
        assert {lost["time"], restart["time"]} <= times, name
    totals_are_the_summarys(influx, shown, cluster.row)
    before = influx.everything()
    replay(cluster.master.folder, *influx.arguments)
    assert influx.everything() == before


def totals_are_the_summarys(influx: Influx, shown: Chosen, row: dict[str, Any]) -> None:
    """Also of what a killed worker owed, so that the ledger closes before the reader's eyes."""
    live = read("live.json")
    for panel in panels(live):
        if (name := TOTALS.get(panel["title"])) is not None:
            [target] = panel["targets"]
            [series] = influx.query(shown.filled(live, target["query"]))
            [[_, total]] = series["values"]
            assert total == row[name], name
    assert row["lost"] > 0
