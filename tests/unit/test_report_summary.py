"""summary.json keeps to its contract, and its numbers to the step results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_report_example import LARGE, SMALL, ZERO_NS, example_run, flow_of, outcome_of, series_of
from triton_users.report import summary
from triton_users.report.outcome import Gap, WorkerView
from triton_users.sinks.folder import ResultsError
from triton_users.step import CLOSED, Flow, RequestClass
from triton_users.units import NS_PER_MS, NS_PER_S

ROW_KEYS = (
    "name flow model model_version class mode concurrency request_rate distribution started_at duration_ns "
    "trials valid stable scheduled sent ok failed dropped lost late inferences errors achieved_request_rate "
    "inference_rate goodput_rate latency_ns service_latency_ns send_lag_ns server audit generators gaps"
)
LATENCY_KEYS = ["count", "min", "mean", "stddev", "p50", "p90", "p95", "p99", "p99.9", "max"]


def built(**changes: Any) -> dict[str, Any]:
    return summary.build(replace(example_run(), **changes))


def test_the_whole_has_the_keys_of_the_contract() -> None:
    found = built()
    assert set(found) >= {"schema", "run", "valid", "reasons", "steps"}
    assert found["schema"] == 1
    assert set(found["run"]) >= {
        "id",
        "seed",
        "started_at",
        "duration_ns",
        "command",
        "versions",
        "workers",
        "server",
    }
    assert set(found["run"]["server"]) >= {"url", "version", "embedded", "extensions"}
    assert found["reasons"][0].keys() == {"code", "severity", "step", "message", "advice"}
    for row in found["steps"]:
        assert set(row) >= set(ROW_KEYS.split())
        assert list(row["latency_ns"]) == [*LATENCY_KEYS, "thin"]
        assert list(row["service_latency_ns"]) == [*LATENCY_KEYS, "thin"]


def test_who_lost_what_and_when() -> None:
    first, *others = example_run().steps
    gaps = (Gap(None, 1, 2, 3), Gap(4, 5 * NS_PER_S, 6 * NS_PER_S, 7))
    row, *rows = built(steps=(replace(first, gaps=gaps), *others))["steps"]
    assert row["gaps"] == [
        {"worker": None, "from_ns": 1, "until_ns": 2, "arrivals": 3},
        {"worker": 4, "from_ns": 5 * NS_PER_S, "until_ns": 6 * NS_PER_S, "arrivals": 7},
    ]
    assert rows[-1]["gaps"] == []


def test_shares_count_what_no_window_tells() -> None:
    """Also that of a worker that died before its first window."""
    first, *others = example_run().steps
    [alive] = first.result.generators
    dead = replace(alive, worker=1, scheduled=0, sent=0, windows=0)
    lost = WorkerView("198.18.0.1", 0, None, never_sent=90, unrecorded=13, unheard=alive.scheduled // 3)
    step = replace(first, result=replace(first.result, generators=(alive, dead)), workers={1: lost})
    row, *_ = built(steps=(step, *others))["steps"]
    shares = [(g["share"], g["requests"], g["never_sent"], g["unrecorded"]) for g in row["generators"]]
    assert shares == [(0.75, alive.sent, 0, 0), (0.25, 0, 90, 13)]


def test_exceptions_of_tasks_are_counted() -> None:
    assert built()["run"]["exceptions"] is None
    assert built(exceptions=3)["run"]["exceptions"] == 3


def test_secrets_are_nowhere() -> None:
    text = json.dumps(built())
    assert "s3cret" not in text
    assert "grpc://***@127.0.0.1:8001" in text


def test_a_closed_step_of_one_class_is_one_row() -> None:
    row = built()["steps"][0]
    assert (row["name"], row["flow"], row["model"], row["model_version"]) == (
        "batch 1, concurrency 1",
        "ImageUser",
        "espcn",
        "1",
    )
    assert row["class"] == {"batch_size": 1, "input_shapes": {"INPUT": [1, 224, 224]}}
    assert (row["mode"], row["concurrency"], row["request_rate"], row["distribution"]) == (
        "closed",
        1,
        None,
        None,
    )
    assert (row["scheduled"], row["ok"], row["inferences"], row["trials"]) == (309, 309, 309, 1)
    assert row["achieved_request_rate"] == pytest.approx(61.8)
    assert row["goodput_rate"] is None
    assert row["send_lag_ns"] is None
    assert [one["send_lag_p99_ns"] for one in row["generators"]] == [None]
    assert row["started_at"] == "2023-11-14T22:13:22.000Z"
    assert row["duration_ns"] == 5 * NS_PER_S
    assert all(isinstance(row["latency_ns"][key], int) for key in LATENCY_KEYS)
    assert row["latency_ns"]["thin"] == ["p99", "p99.9"]


def test_rates_count_completions_in_the_real_length_of_the_trials() -> None:
    run = example_run()
    step = run.steps[2]
    trial = step.result.trials[0]
    half = replace(trial, end_ns=trial.start_ns + trial.duration_ns // 2, complete=False)
    result = replace(step.result, trials=(half,))
    row = summary.build(replace(run, steps=(replace(step, result=result),)))["steps"][0]
    assert row["achieved_request_rate"] == pytest.approx(2 * 18.4)
    assert row["inference_rate"] == pytest.approx(2 * 18.4 * 8)
    assert row["duration_ns"] == 2.5 * NS_PER_S


def test_goodput_stands_where_there_is_a_budget() -> None:
    row = built(latency_threshold_ns=20 * NS_PER_MS)["steps"][0]
    assert row["goodput_rate"] == pytest.approx(154 / 5)


def test_an_open_step_names_its_rate_and_lag() -> None:
    row = built()["steps"][3]
    assert (row["mode"], row["concurrency"], row["request_rate"], row["distribution"]) == (
        "open",
        None,
        240,
        "poisson",
    )
    assert (row["dropped"], row["late"], row["scheduled"]) == (610, 3, 1200)
    assert row["send_lag_ns"]["p50"] == 40_000
    assert row["latency_ns"]["mean"] - row["service_latency_ns"]["mean"] == pytest.approx(40_000, abs=1)


def test_several_classes_have_a_row_each_and_one_for_the_whole() -> None:
    small, large, whole = built()["steps"][4:]
    assert [row["class"] and row["class"]["batch_size"] for row in (small, large, whole)] == [1, 8, None]
    for key in ("scheduled", "sent", "ok", "failed", "dropped", "lost", "late", "inferences"):
        assert whole[key] == small[key] + large[key]
    assert whole["latency_ns"]["count"] == small["latency_ns"]["count"] + large["latency_ns"]["count"]
    assert whole["latency_ns"]["max"] == max(small["latency_ns"]["max"], large["latency_ns"]["max"])
    assert whole["errors"] == {"UNAVAILABLE": 3}
    assert whole["inference_rate"] == pytest.approx(60)
    # Triton's statistics are the model's: no class of a mix can have them.
    assert small["server"] is None and large["audit"] is None
    assert whole["server"]["success_count"] == whole["ok"]
    assert whole["audit"]["skipped"] == "connections were lost during the step"
    assert whole["audit"]["equal"] is None
    assert [len(row["messages"]) for row in (small, large, whole)] == [0, 0, 1]


def test_a_planned_class_without_any_request_has_its_row() -> None:
    flow = flow_of(SMALL, LARGE, users=2)
    step = outcome_of(0, "mix", flow, {SMALL: series_of(SMALL, 10, 20)}, latency_ms=20)
    _, large, _ = built(steps=(step,))["steps"]
    assert (large["class"]["batch_size"], large["scheduled"]) == (8, 0)
    assert large["latency_ns"] == {"count": 0, **dict.fromkeys(LATENCY_KEYS[1:]), "thin": []}


def test_classes_that_tasks_send_are_found_in_what_they_sent() -> None:
    step = outcome_of(0, "tasks", flow_of(users=2), {LARGE: series_of(LARGE, 10, 20)}, latency_ms=20)
    (row,) = built(steps=(step,))["steps"]
    assert row["class"]["batch_size"] == 8
    assert row["server"]["success_count"] == 50


def test_tasks_that_sent_nothing_leave_one_empty_row() -> None:
    step = outcome_of(0, "tasks", flow_of(users=2), {}, latency_ms=20)
    (row,) = built(steps=(step,))["steps"]
    assert (row["class"], row["model"], row["scheduled"]) == (None, "espcn", 0)
    assert row["achieved_request_rate"] == 0


def test_a_step_without_a_measured_trial_has_no_rates() -> None:
    run = example_run()
    result = replace(run.steps[0].result, trials=(), totals={})
    row = summary.build(replace(run, steps=(replace(run.steps[0], result=result),)))["steps"][0]
    assert (row["achieved_request_rate"], row["inference_rate"], row["started_at"]) == (None, None, None)


def test_models_that_share_a_step_each_have_their_own_server_figures() -> None:
    run = example_run()
    other = RequestClass("identity", 1)
    flows = (
        flow_of(SMALL, users=1),
        Flow("OtherUser", "OtherUser", "identity", CLOSED, None, 3, ((other, 1.0),)),
    )
    step = run.steps[0]
    totals = {("ImageUser", SMALL): series_of(SMALL, 10, 20), ("OtherUser", other): series_of(other, 40, 5)}
    result = replace(step.result, step=replace(step.result.step, flows=flows), totals=totals)
    audit, split = step.audits["espcn"], step.server["espcn"]
    two = replace(
        step,
        result=result,
        server={"espcn": split, "identity": replace(split, success_count=200)},
        audits={"espcn": audit, "identity": replace(audit, ours=200, server=201, equal=False)},
    )
    image, identity, whole = summary.build(replace(run, steps=(two,)))["steps"]
    assert (image["server"]["success_count"], identity["server"]["success_count"]) == (309, 200)
    assert (whole["server"], whole["model"], whole["flow"], whole["concurrency"]) == (None, None, None, 4)
    assert (image["audit"]["equal"], identity["audit"]["equal"], whole["audit"]["equal"]) == (
        True,
        False,
        False,
    )
    assert whole["audit"]["server"] == 309 + 201


def test_what_the_server_does_not_explain_is_network_and_client() -> None:
    run = example_run()
    row = summary.build(run)["steps"][0]
    server = row["server"]
    parts = ("queue_ns", "compute_input_ns", "compute_infer_ns", "compute_output_ns", "network_client_ns")
    assert sum(server[part] for part in parts) == row["latency_ns"]["mean"]
    # The server's figures hold the warm-up too, so ours must.
    step = run.steps[0]
    warm = replace(
        step, result=replace(step.result, unmeasured={("ImageUser", SMALL): series_of(SMALL, 61.8, 26)})
    )
    server = summary.build(replace(run, steps=(warm,)))["steps"][0]["server"]
    assert server["network_client_ns"] - row["server"]["network_client_ns"] == pytest.approx(5.2e6, rel=0.02)
    # From the cache: half of the requests have no compute, but a lookup.
    split = replace(run.steps[0].server["espcn"], success_count=100, cache_hits=50, cache_hit_ns=1_000_000)
    cached = replace(run.steps[0], server={"espcn": split})
    server = summary.build(replace(run, steps=(cached,)))["steps"][0]["server"]
    computing = sum(server[part] for part in parts[1:4])
    inside = server["queue_ns"] + computing / 2 + 500_000
    assert server["network_client_ns"] == round(row["latency_ns"]["mean"] - inside)
    # The server cannot have spent more than we waited: then nothing is said.
    slow = replace(run.steps[0], server={"espcn": replace(split, queue_ns=10**10)})
    assert summary.build(replace(run, steps=(slow,)))["steps"][0]["server"]["network_client_ns"] is None


def test_the_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    summary.write(built(), path)
    assert summary.read(path) == json.loads(json.dumps(built()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.json"]
    assert built()["run"]["started_at"] == f"2023-11-14T22:13:20.{ZERO_NS // 10**6 % 1000:03d}Z"


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    with pytest.raises(ResultsError, match="cannot read"):
        summary.read(path)
    path.write_text("{")
    with pytest.raises(ResultsError, match="cannot read"):
        summary.read(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(ResultsError, match="schema 1"):
        summary.read(path)
    with pytest.raises(ResultsError, match="cannot write"):
        summary.write(built(), tmp_path / "none" / "summary.json")
