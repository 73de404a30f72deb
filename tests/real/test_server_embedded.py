"""The embedded server's life: start, ready, death, restart, stop; and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

from tests.real.server_caller import PlainCaller, infer_request
from tests.real.server_processes import members
from triton_users import demo
from triton_users.server import embedded, installed
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton, ServerError, available
from triton_users.server.ports import free_ports
from triton_users.server.workplace import PREFIX, SHARED_MEMORY, sweep

SECOND = 1_000_000_000


def port_of(url: str) -> int:
    return int(url.removeprefix("http://").removesuffix("/metrics").rsplit(":", 1)[1])


def ports_of(server: EmbeddedTriton) -> list[int]:
    return [port_of(url) for url in (server.url, server.http_url, server.metrics_url)]


def is_ready(server: EmbeddedTriton) -> bool:
    return Control(PlainCaller(server.url)).ready()


def test_serves_on_loopback_alone_and_is_gone_after_stop(fresh_triton: EmbeddedTriton) -> None:
    server = fresh_triton
    place = server._place
    assert place is not None
    assert server.alive
    assert server.death() is None
    assert Control(PlainCaller(server.url)).server_metadata()[0] == "triton"
    with urllib.request.urlopen(f"http://{server.http_url}/v2/health/ready", timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(server.metrics_url, timeout=5) as answer:
        assert b"nv_inference_request_success" in answer.read()
    hexadecimal = {f"{port:04X}" for port in ports_of(server)}
    listening = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()
    ]
    local = {entry[1].split(":")[0] for entry in listening if entry[1].split(":")[-1] in hexadecimal}
    assert local <= {"0100007F", "0000000000000000FFFF00000100007F"}, (
        "127.0.0.1, and the same as IPv6 writes it"
    )

    pid, ports = server.pid, ports_of(server)
    assert pid is not None
    assert list(SHARED_MEMORY.glob(f"{place.region_prefix}*"))
    server.stop()
    assert not server.alive
    assert not place.path.exists()
    assert not list(SHARED_MEMORY.glob(f"{place.region_prefix}*"))
    for _ in range(100):  # a killed stub takes the kernel a moment
        if members(pid):
            time.sleep(0.02)
    assert members(pid) == []
    for port in ports:
        with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
            probe.connect(("127.0.0.1", port))
    server.stop()  # a second time does no harm


def test_death_is_reported_and_a_restart_keeps_the_ports(fresh_triton: EmbeddedTriton) -> None:
    server, ports = fresh_triton, ports_of(fresh_triton)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSEGV)
    assert server._child is not None
    assert server._child.wait(5)
    assert not server.alive
    death = server.death()
    assert death is not None
    assert "signal SIGSEGV" in death
    assert str(server.log) in death
    assert "Signal (11) received" in death
    assert "Started Metrics Service" in death
    server.restart()
    server.wait_ready(lambda: is_ready(server))
    assert ports_of(server) == ports
    answer = PlainCaller(server.url).infer(infer_request("identity", INPUT0=("FP32", [1, 2], b"12345678")))
    assert answer.raw_output_contents[0] == b"12345678"


def test_a_model_that_fails_to_load_is_named(usable_triton: None, tmp_path: Path) -> None:
    built = demo.build(tmp_path / "models", ["identity"])
    (built / "identity" / "1" / "model.py").write_text("raise ValueError('the weights are missing')\n")
    server = EmbeddedTriton(built, tmp_path / "server.log")
    with server, pytest.raises(ServerError, match=r"(?s)exit code 1.*the weights are missing"):
        server.wait_ready(lambda: is_ready(server))


def test_not_ready_in_time_says_so(usable_triton: None, tmp_path: Path) -> None:
    told: list[str] = []
    with EmbeddedTriton(demo.build(tmp_path / "models", ["identity"]), tmp_path / "server.log") as server:
        with pytest.raises(ServerError, match=r"(?s)not ready in 1\.5 s.*Started"):
            server.wait_ready(lambda: False, int(1.5 * SECOND), told.append)
        with pytest.raises(ServerError, match=r"already runs"):
            server.start()
    assert told == ["waiting for the embedded Triton, 1 s so far"]


def test_a_port_taken_meanwhile_is_replaced(
    usable_triton: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = demo.build(tmp_path / "models", ["identity"])
    for which in range(3):
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            first, second = free_ports(3), free_ports(3)
            first[which] = taken
            choices = iter([list(first), list(second)])
            monkeypatch.setattr(embedded, "free_ports", lambda n, choices=choices: next(choices))
            with EmbeddedTriton(repository, tmp_path / f"{which}.log") as server:
                assert taken in ports_of(server)
                server.wait_ready(lambda server=server: is_ready(server))
                assert ports_of(server) == second


def test_unavailable_is_one_sentence_with_both_ways_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installed.importlib.util, "find_spec", lambda name: None)
    why = available()
    assert why is not None
    assert "make setup" in why and "pip install '.[embedded]'" in why
    assert "Python 3.11 or 3.12" in why
    assert "-H HOST:8001" in why
    assert "\n" not in why
    with pytest.raises(ServerError, match="nvidia-pytriton is not installed"):
        EmbeddedTriton(tmp_path, tmp_path / "server.log").start()
    monkeypatch.setattr(installed.sys, "platform", "darwin")
    assert "Linux" in (available() or "")


def test_sweep_takes_what_was_left_and_leaves_the_living_alone(fresh_triton: EmbeddedTriton) -> None:
    assert fresh_triton._place is not None
    prefix = fresh_triton._place.region_prefix
    regions = set(SHARED_MEMORY.glob(f"{prefix}*"))
    assert regions
    left = Path(tempfile.gettempdir()) / f"{PREFIX}*"  # a name that must not be read as a pattern
    left.mkdir()
    (left / "lock").touch()
    sweep()
    assert not left.exists()
    assert fresh_triton._place.path.exists()
    assert set(SHARED_MEMORY.glob(f"{prefix}*")) == regions
    assert is_ready(fresh_triton)
