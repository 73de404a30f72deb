"""Sensors on the real things: a real Triton's page and statistics, this host, a whole run with its agent."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.real.locust_process import LocustProcess, finish
from tests.real.server_caller import PlainCaller, infer_request
from triton_users.collect.host import Disk, Memory, Network
from triton_users.collect.sensor import Failed, Reading, Restart
from triton_users.collect.sensors import host_sensors
from triton_users.collect.triton_metrics import TritonMetrics
from triton_users.collect.triton_statistics import TritonStatistics
from triton_users.metrics import BY_NAME
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.server.ports import free_ports

S = 1_000_000_000
INPUT = ("FP32", [2, 16], np.arange(32, dtype=np.float32).tobytes())
"""A request of batch 2 for identity_16."""


def of_model(readings: Any, model: str) -> dict[str, float]:
    """All values of a model without further labels."""
    wanted = [one for one in readings if one.labels == {"model": model, "version": "1"} and not one.detail]
    assert len(wanted) == 1, wanted
    return dict(wanted[0].values)


def infer(triton: EmbeddedTriton, times: int) -> None:
    caller = PlainCaller(triton.url)
    for _ in range(times):
        caller.infer(infer_request("identity_16", INPUT0=INPUT))


def settled(sample: Callable[[], dict[str, float]], name: str, value: float) -> dict[str, float]:
    """Triton counts a moment after it has answered: what the samples add up to."""
    deadline = time.monotonic() + 10
    while (found := sample()).get(name) != value:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_the_page_of_a_real_triton(triton: EmbeddedTriton) -> None:
    sensor = TritonMetrics(triton.metrics_url)
    sensor.open()
    before = of_model(sensor.sample(0), "identity_16")
    infer(triton, 5)
    wanted = before["nv_inference_request_success"] + 5
    after = settled(lambda: of_model(sensor.sample(S), "identity_16"), "nv_inference_request_success", wanted)
    assert after["nv_inference_request_duration_us"] > before["nv_inference_request_duration_us"]
    names = {name for one in sensor.sample(2 * S) if not one.detail for name in one.values}
    assert {"nv_inference_pending_request_count", "nv_cpu_memory_total_bytes"} <= names <= BY_NAME.keys()
    sensor.close()
    elsewhere = triton.metrics_url.removesuffix("metrics") + "none", f"http://{triton.http_url}/metrics"
    for url, fault in zip(elsewhere, ("shows no metrics", "answers 40"), strict=True):
        with pytest.raises(Failed, match=fault):
            TritonMetrics(url).open()


def test_the_statistics_of_a_real_triton(triton: EmbeddedTriton) -> None:
    sensor = TritonStatistics(triton.url, ["identity_16"])
    sensor.open()
    assert list(sensor.sample(0)) == []
    quiet = of_model(sensor.sample(S), "identity_16")
    assert quiet["success_count"] == 0
    assert not {"queue_ns", "mean_executed_batch"} & quiet.keys()
    infer(triton, 5)
    total: dict[str, float] = {}

    def add() -> dict[str, float]:
        for name, value in of_model(sensor.sample(2 * S), "identity_16").items():
            total[name] = total.get(name, 0) + value
        return total

    settled(add, "success_count", 5)
    assert total["inference_count"] + 2 * total["cache_hits"] == 10
    assert total["queue_ns"] > 0
    assert total.keys() <= BY_NAME.keys()
    sensor.close()


def test_a_triton_that_dies_and_comes_back(fresh_triton: EmbeddedTriton) -> None:
    sensor = TritonStatistics(fresh_triton.url)
    sensor.open()
    list(sensor.sample(0))
    PlainCaller(fresh_triton.url).infer(infer_request("identity", INPUT0=INPUT))
    found = [one for one in sensor.sample(S) if isinstance(one, Reading)]
    assert {one.labels["model"] for one in found} == {"identity", "fixed_time"}
    fresh_triton.stop()
    with pytest.raises(Failed, match="does not tell its statistics"):
        list(sensor.sample(2 * S))
    sensor.close()
    fresh_triton.start()
    fresh_triton.wait_ready(lambda: Control(PlainCaller(fresh_triton.url)).ready())
    sensor.open()
    assert list(sensor.sample(3 * S)) == [Restart("the statistics of identity began again from zero")]
    assert all(isinstance(one, Reading) for one in sensor.sample(4 * S)), "told once"
    sensor.close()


def test_this_host() -> None:
    memory, network, disk = Memory(), Network(), Disk()
    memory.open()
    (found,) = memory.sample(0)
    assert found.values["memory_total_bytes"] == psutil.virtual_memory().total
    assert 0 < found.values["memory_used_bytes"] < found.values["memory_total_bytes"]
    network.open()
    list(network.sample(0))
    with subprocess.Popen([sys.executable, "-c", TALK]) as talk:
        talk.wait()
    (loopback,) = (one for one in network.sample(S) if one.labels == {"nic": "lo"})
    assert loopback.values["network_sent_bytes_per_s"] >= 10**6
    disk.open()
    list(disk.sample(0))
    found_disks: list[Reading] = list(disk.sample(S))
    assert all(one.values["disk_busy_ratio"] >= 0 for one in found_disks)
    for scheduled in host_sensors():
        scheduled.sensor.close()


TALK = """
import socket
ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
theirs.bind(("127.0.0.1", 0))
for _ in range(100):
    ours.sendto(bytes(10000), theirs.getsockname())
"""


def lines_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "windows.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("kind") == kind]


def test_a_run_with_an_agent_beside_it_and_one_elsewhere(triton: EmbeddedTriton, tmp_path: Path) -> None:
    token = secrets.token_urlsafe(16)
    (port,) = free_ports(1)
    environment = os.environ | {"TRITON_AGENT_TOKEN": token}
    command = [
        sys.executable,
        "-m",
        "triton_users",
        "agent",
        "--listen",
        f"127.0.0.1:{port}",
        "--name",
        "far",
    ]
    with (tmp_path / "agent").open("wb") as output:
        agent = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        (tmp_path / "token").write_text(token)
        with LocustProcess(
            tmp_path / "run",
            *(
                "-H",
                triton.url,
                "-m",
                "identity_16",
                "--request-rate-range",
                "50",
                "--warm-up",
                "500ms",
                "-p",
                "3s",
            ),
            *("--metrics-url", triton.metrics_url, "--agent", f"127.0.0.1:{port}"),
            *("--agent-token-file", str(tmp_path / "token")),
        ) as run:
            finish(run)
    finally:
        agent.terminate()
        agent.wait()
    samples, zero_to_end = lines_of(run.folder, "sample"), run.summary["run"]["duration_ns"]
    assert all(0 <= one["at_ns"] <= zero_to_end + S for one in samples)
    assert all(name in BY_NAME for one in samples for name in one["values"])
    far = {one["source"] for one in samples if one["host"] == "far"}
    here = (
        {one["source"] for one in samples}
        if not far
        else {o["source"] for o in samples if o["host"] != "far"}
    )
    assert {"cpu", "memory", "network", "agent"} <= far
    assert {"cpu", "memory", "network", "triton_metrics", "triton_statistics"} <= here
    counted = [one["values"] for one in samples if one["source"] == "triton_statistics"]
    assert sum(one["success_count"] for one in counted) > 0
    assert "agent on far: measures agent, cpu, " in run.output
    assert not (run.folder / "agent.log").exists()
    for text in (run.output, (run.folder / "run.json").read_text(), (tmp_path / "agent").read_text()):
        assert token not in text


def test_no_agent_no_samples_and_a_missing_token_is_refused(triton: EmbeddedTriton, tmp_path: Path) -> None:
    short = (
        "-H",
        triton.url,
        "-m",
        "identity_16",
        "--request-rate-range",
        "50",
        "--warm-up",
        "0",
        "-p",
        "500",
    )
    with LocustProcess(tmp_path / "without", *short, "--no-agent") as run:
        finish(run)
    assert not lines_of(run.folder, "sample") and "agent" not in run.output
    with LocustProcess(tmp_path / "refused", *short, "--agent", "127.0.0.1:9") as refused:
        finish(refused, 2)
    assert "there is no agent's token in the environment" in refused.output
