"""Plans as a user asks for them, on a Triton of their own: each step is measured, and all files agree."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import started
from tests.real.locust_process import ROOT, LocustProcess, finish
from triton_users import demo
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.requests import read_requests
from triton_users.units import NS_PER_S

SHORT = ("--warm-up", "200ms", "-p", "500")


@pytest.fixture
def any_model(triton: EmbeddedTriton, tmp_path: Path) -> Any:
    """Starts locustfiles/any.py on the shared server."""

    def start(*arguments: str, **more: Any) -> LocustProcess:
        return LocustProcess(tmp_path / "run", "-H", triton.url, *arguments, **more)

    return start


@pytest.mark.slow
def test_the_default_plan_of_sr_as_it_is(usable_triton: None, tmp_path: Path) -> None:
    """Nothing but the command: it ends by itself in less than two minutes."""
    started = time.monotonic()
    with LocustProcess(tmp_path, locustfile=ROOT / "locustfiles/sr.py") as run:
        finish(run, limit_s=240)
    assert time.monotonic() - started < 120
    assert len(run.rows) == 8
    assert all(row["audit"]["equal"] is True for row in run.rows)


def test_the_plan_of_sr(usable_triton: None, tmp_path: Path) -> None:
    """Its eight steps, smaller and shorter, on a server of our own, which is gone afterwards."""
    with LocustProcess(
        *(tmp_path, "-b", "1,2", "--warm-up", "200ms", "-p", "700ms"), locustfile=ROOT / "locustfiles/sr.py"
    ) as run:
        finish(run)
    assert [(r["class"]["batch_size"], r["mode"], r["concurrency"]) for r in run.rows] == [
        (batch, mode, concurrency)
        for batch in (1, 2)
        for mode, concurrency in [("closed", 1), ("closed", 2), ("closed", 4), ("open", None)]
    ]
    assert run.summary["run"]["server"]["embedded"] is True
    for row in run.rows:
        assert row["audit"]["equal"] is True, row
        assert row["ok"] == row["scheduled"] > 0, row
        assert row["ok"] * row["class"]["batch_size"] == row["inferences"]
    for of_batch in (run.rows[:4], run.rows[4:]):
        best = max(row["achieved_request_rate"] for row in of_batch[:3])
        assert of_batch[3]["request_rate"] == pytest.approx(best / 2)
        assert of_batch[3]["distribution"] == "poisson"
    assert {path.name for path in run.folder.iterdir()} == {
        *(
            "run.json",
            "windows.jsonl",
            "summary.json",
            "summary.csv",
            "summary.svg",
            "latency.hlog",
            "server.log",
        )
    }
    assert "\x1b" not in run.output
    assert "Plan: 8 steps, about " in run.output
    assert f"Saved in results/{run.folder.name}" in run.output


def test_ranges_rates_and_percentages(any_model: Any) -> None:
    with any_model(
        *("-m", "identity_16", "-b", "1,8", "--concurrency-range", "3", *SHORT),
        *("--request-rate-range", "50,2%", "--request-distribution", "constant", "--connections", "2"),
        *("--latency-threshold", "1us", "--exit-code-on-error", "1"),
    ) as run:
        finish(run)
    assert len(run.rows) == 6
    for row in run.rows:
        assert row["audit"]["equal"] is True
        assert row["goodput_rate"] == 0  # no answer comes within a microsecond
        if row["request_rate"] == 50:
            assert row["scheduled"] == 25
            assert row["distribution"] == "constant"
    assert run.codes()["nothing_in_budget"] == 6


def test_users_until_the_run_time(any_model: Any) -> None:
    """-u without a range is one closed-loop step at that many users until -t."""
    with any_model("-m", "identity_16", "-u", "4", "-t", "3s") as run:
        finish(run)
    [row] = run.rows
    assert row["mode"] == "closed"
    assert row["concurrency"] == 4
    assert row["ok"] > 0
    assert row["duration_ns"] > 1_000_000_000  # the most of -t is measured, not warmed up
    assert row["audit"]["equal"] is True
    assert not run.codes()["cut_short"]


def test_run_time_cuts_a_plan_short(any_model: Any) -> None:
    with any_model(
        "-m", "identity_16", "--request-rate-range", "40,50,60", "--warm-up", "0", "-p", "2s", "-t", "3s"
    ) as run:
        finish(run)
    first, second = run.rows
    assert first["duration_ns"] == 2_000_000_000
    assert 0 < second["duration_ns"] < 2_000_000_000
    assert run.codes()["cut_short"] == 1
    assert abs(second["scheduled"] - 50 * second["duration_ns"] / 1e9) < 30


def test_mixed_batches_and_shapes(any_model: Any) -> None:
    """Each class has its own row, and one stands for the whole."""
    with any_model(
        *("-m", "identity", "--batch-mix", "1=80,4=20", "--shape-mix", "INPUT0:16=70,INPUT0:512=30"),
        *("--request-rate-range", "400", *SHORT),
    ) as run:
        finish(run)
    whole = [row for row in run.rows if row["class"] is None]
    parts = [row for row in run.rows if row["class"] is not None]
    assert len(whole) == 1
    assert len(parts) == 4
    assert whole[0]["scheduled"] == sum(row["scheduled"] for row in parts)
    assert whole[0]["inferences"] == sum(row["inferences"] for row in parts)
    small = [r for r in parts if r["class"] == {"batch_size": 1, "input_shapes": {"INPUT0": [16]}}]
    assert 0.36 < small[0]["scheduled"] / whole[0]["scheduled"] < 0.76  # 56 %
    assert whole[0]["audit"]["equal"] is True


def test_every_dtype(any_model: Any) -> None:
    with any_model(
        "-m", "types", "--input-data", "zero", "--string-length", "3", "--input-count", "2", *SHORT
    ) as run:
        finish(run)
    assert run.rows[0]["ok"] > 0


def test_workers_are_armed_before_a_step_starts(any_model: Any) -> None:
    """At least 200 ms before the instant from which its arrivals count."""
    with any_model("-m", "identity_16", "--request-rate-range", "100,200", *SHORT) as run:
        finish(run)
    lines = map(json.loads, (run.folder / "windows.jsonl").read_text().splitlines())
    starts = {line["step"]: line["at_ns"] for line in lines if line.get("event") == "step_start"}
    assert len(starts) == 2
    for step, start_ns in starts.items():
        armed_ns = min(line["start_ns"] for line in run.lines if line["step"] == step)
        assert start_ns - armed_ns >= 200_000_000


def test_the_cap_drops_what_a_slow_model_cannot_take(any_model: Any) -> None:
    """5 ms a request is 200/s at most; the rest finds the cap full. That is the server's limit."""
    with any_model(
        *("-m", "fixed_time", "--shape", "INPUT0:1", "--max-in-flight", "4"),
        *("--request-rate-range", "500", "--save-requests", *SHORT),
    ) as run:
        finish(run)
    [row] = run.rows
    assert row["dropped"] > 20
    assert row["failed"] == row["lost"] == 0
    assert run.codes()["server_overloaded"] + run.codes()["dropped"] == 1
    [saved] = run.folder.glob("requests-*.npz")
    with np.load(saved) as requests:
        statuses = Counter(requests["status"].tolist())
        sent = requests["sent_ns"] >= 0
    every = [series for line in run.lines for series in line["series"]]
    assert sum(statuses.values()) == sum(series["scheduled"] for series in every)
    assert statuses[0] == sum(series["ok"] for series in every) == int(sent.sum())


@pytest.mark.slow
def test_a_slow_model_warms_up_for_three_of_its_latencies(usable_triton: None, tmp_path: Path) -> None:
    """What was asked before the load is counted nowhere, neither here nor in the server's own count."""
    service = {"fixed_time": {"service_time_ns": str(NS_PER_S)}}
    server = started(demo.build(tmp_path / "models", ["fixed_time"], service), tmp_path / "server.log")
    load = ("-m", "fixed_time", "--shape", "INPUT0:1", "-p", "1500")
    try:
        with LocustProcess(tmp_path, "-H", server.url, *load) as run:
            finish(run)
    finally:
        server.stop()
    lines = list(map(json.loads, (run.folder / "windows.jsonl").read_text().splitlines()))
    [begun] = [line["at_ns"] for line in lines if line.get("event") == "step_start"]
    [measured] = [line["start_ns"] for line in lines if line["kind"] == "step"]
    assert 3.0 <= (measured - begun) / NS_PER_S < 3.6
    assert run.rows[0]["audit"]["equal"] is True


def test_fewer_inputs_than_asked_for_are_told(any_model: Any) -> None:
    """Thirteen requests of 20 MB fill the memory that there is for them."""
    large = ("-m", "identity", "--shape", "INPUT0:5000000", "--concurrency-range", "1", *SHORT)
    with any_model(*large, "--input-count", "20") as run:
        finish(run)
    note = (
        "identity b1 [5000000]: 13 distinct inputs instead of 20, for all requests of a flow may take 256 MiB"
    )
    assert note in run.output
    assert json.loads((run.folder / "run.json").read_text())["notes"] == [note]


def test_deadlines(any_model: Any) -> None:
    """Twenty in flight at 5 ms each wait 100 ms: none is answered within 20 ms for long."""
    with any_model(
        *("-m", "fixed_time", "--shape", "INPUT0:1", "--concurrency-range", "20", *SHORT),
        *("--request-timeout", "20ms"),
    ) as run:
        finish(run, code=run.wait())
    [row] = run.rows
    assert row["errors"].get("DEADLINE_EXCEEDED", 0) > 0
    assert row["audit"]["equal"] is None
    assert "deadlines" in row["audit"]["skipped"]
    assert run.process.returncode == (1 if row["ok"] else 4)


@pytest.mark.slow
@pytest.mark.parametrize("allowed", [True, False])
def test_realtime_runs_or_says_why_not(any_model: Any, allowed: bool) -> None:
    """The policy is read from outside while load runs. Without the right to it a run says so and goes on."""
    if os.getuid() != 0:
        pytest.skip("root can have real-time priority, and give the right to it up")
    prefix = () if allowed else ("setpriv", "--bounding-set=-sys_nice")
    seen = set()
    load = ("-m", "identity_16", "--request-rate-range", "100", "--realtime", *SHORT)
    with any_model(*load, prefix=prefix) as run:
        while run.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                seen.add(os.sched_getscheduler(run.process.pid))
            time.sleep(0.02)
        finish(run)
    assert run.rows[0]["ok"] > 0
    assert ("--realtime is not allowed here" in run.output) is not allowed
    assert (os.SCHED_FIFO | os.SCHED_RESET_ON_FORK in seen) is allowed
    assert os.SCHED_OTHER in seen


def served(record: Path) -> int:
    """How many requests the model has written down, once it has worked off what other tests gave up."""
    while True:
        count = len(record.read_text().splitlines()) if record.exists() else 0
        time.sleep(0.2)
        if not record.exists() or len(record.read_text().splitlines()) == count:
            return count


def test_seeds(triton: EmbeddedTriton, demo_repository: Path, tmp_path: Path) -> None:
    """The same seed plans the same arrivals and sends the same inputs in the same order, another seed others.

    The order is that in which one instance serves what came by one connection. By the first seed no two
    arrivals are closer than 4.9 ms, so that Triton's threads cannot change it, unless the machine was so busy
    that some left late, and together.
    """
    record = demo_repository.parent / "order"
    load = ("-m", "fixed_time", "--shape-mix", "INPUT0:8=50,INPUT0:4=50", "--input-count", "16")
    seen: list[dict[str, list[Any]]] = []
    in_order: list[list[str]] = []
    for number, seed in enumerate(("68", "68", "8")):
        before = served(record)
        with LocustProcess(
            *(tmp_path / str(number), "-H", triton.url, *load, "--seed", seed),
            *("--request-rate-range", "50", "--save-requests", *SHORT),
        ) as run:
            finish(run)
        assert run.summary["run"]["seed"] == int(seed)
        digests = [line.split()[0] for line in record.read_text().splitlines()[before:]]
        saved = read_requests(run.folder)
        assert saved.index.tolist() == list(range(len(digests)))
        offsets_ns = (saved.arrival_ns - saved.arrival_ns[0]).tolist()
        classes = [saved.classes[cls] for cls in saved.cls.tolist()]
        seen.append({"inputs": sorted(digests), "offsets_ns": offsets_ns[1:], "classes": classes})
        in_order.append([] if np.max(saved.sent_ns - saved.arrival_ns) > 2_000_000 else digests)
    first, again, other = seen
    assert first == again
    assert in_order[0] == in_order[1] or [] in in_order[:2]
    assert first["classes"] != other["classes"]
    assert not set(first["inputs"]) & set(other["inputs"])
    assert not set(first["offsets_ns"]) & set(other["offsets_ns"])
