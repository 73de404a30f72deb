"""The user's own command, in every load that the bench compares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.payloads import input_of, write_settings
from benchmarks.peers.locust_command import ROOT, USERS, locust
from benchmarks.processes import Child
from benchmarks.window import observe

INVALID = 4
"""The exit code of a run that measured, but not validly: its figures come with that note."""


def summary_of(results: Path) -> dict[str, Any]:
    """The summary of the one run below ``results``."""
    found = sorted(results.glob("*/summary.json"))
    if len(found) != 1:
        raise PeerError(f"{len(found)} summaries in {results}, wanted 1")
    summary = json.loads(found[0].read_text())
    if summary.get("schema") != 1:
        raise PeerError(f"summary.json has schema {summary.get('schema')}, wanted 1")
    return dict(summary)


def figures_of(summary: dict[str, Any]) -> dict[str, Any]:
    """Latencies, send lag and late share of a run with one step of one class, as a Measurement's fields."""
    steps = summary["steps"]
    if len(steps) != 1:
        raise PeerError(f"{len(steps)} steps in the summary, wanted 1")
    [step] = steps
    latency, lag = step["latency_ns"], step.get("send_lag_ns")
    found: dict[str, Any] = {"mean_ns": latency["mean"], "p50_ns": latency["p50"], "p99_ns": latency["p99"]}
    if step["mode"] == "open" and lag:
        found |= {"send_lag_p50_ns": lag["p50"], "send_lag_p99_ns": lag["p99"]}
        found["late_ratio"] = step["late"] / step["sent"] if step["sent"] else None
    notes = [f"{reason['code']}: {reason['message']}" for reason in summary["reasons"]]
    if step["failed"] or step["dropped"] or step["lost"]:
        notes.append(f"{step['failed']} failed, {step['dropped']} dropped, {step['lost']} lost")
    return {**found, "notes": tuple(notes)}


class Ours:
    """any.py, or (``tasks``) a user class with a `@task` that calls infer() with prepared inputs."""

    def __init__(self, tasks: bool = False) -> None:
        self.name = "ours_task" if tasks else "ours"
        self._locustfile = USERS / "infer_task.py" if tasks else ROOT / "locustfiles" / "any.py"

    def command(self, case: Case, bench: Bench, results: Path) -> list[str]:
        timing = bench.timing
        argv = [*locust(self._locustfile), "-m", case.model, "-H", bench.server.address]
        if case.rate is None:
            argv += ["--concurrency-range", str(case.in_flight)]
        else:
            argv += ["--request-rate-range", str(case.rate), "--request-distribution", "poisson"]
        if case.realtime:
            argv.append("--realtime")
        if case.elements is not None:
            argv += ["--shape", f"{input_of(case, bench.server).name}:{case.elements}"]
        interval_ms = round((timing.window_s + timing.tail_s) * 1000)
        argv += ["--warm-up", f"{timing.settle_s}s", "--measurement-interval", f"{interval_ms}ms"]
        return [*argv, "--input-count", str(case.payloads), "--seed", "1", "--results", str(results)]

    def run(self, case: Case, bench: Bench) -> Measurement:
        results, log = bench.folder / "results", bench.folder / "log"
        environment = write_settings(case, input_of(case, bench.server), bench.folder / "case.json")
        before = bench.server.quiet(case.model)
        with Child(self.command(case, bench, results), log, environment, ROOT) as child:
            found = observe(bench.server, case.model, child, before, bench.timing)
            if not child.wait(bench.timing.end_s):
                raise PeerError(f"{self.name} did not end: {child.last_lines}")
            if child.returncode not in (0, INVALID):
                raise PeerError(f"{self.name} ended with {child.returncode}: {child.last_lines}")
            return replace(found, **figures_of(summary_of(results)))
