"""Bad input: a sentence that says what, where and what to do; exit code 2; nothing half-done."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.locust_process import ROOT, LocustProcess
from tests.real.server_caller import PlainCaller
from triton_users import demo
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton

AT_ONCE = 4
"""Processes at a time: they mostly start up."""


@dataclass(frozen=True)
class Case:
    """``arguments`` (or a locustfile) that are wrong, and what must be said about them. HOST and HTTP stand
    for the server's addresses; without HOST no server is needed."""

    arguments: str
    says: Sequence[str]
    locustfile: str = ""
    code: int = 2


def user(body: str) -> str:
    return f"import numpy as np\nfrom triton_users import TritonUser\nclass Mine(TritonUser):\n    {body}\n"


OPTIONS = {
    "no model": Case("", ["AnyModel names no model", "--model NAME"]),
    "all faults at once": Case(
        "-m identity_16 -b 0 --concurrency-range 5:1:0 --request-rate-range x --warm-up 5q --batch-mix 1=0"
        " --latency-threshold -3 --seed -1 --shape A",
        [
            *("--batch-size", "--concurrency-range", "--request-rate-range", "--warm-up", "--batch-mix"),
            *("--latency-threshold", "--seed", "--shape", "write for example 4, or 1,4,16, or 1:11:2"),
        ],
    ),
    "users beside a range": Case("-m identity_16 -u 3 --concurrency-range 1:3", ["--users", "leave out -u"]),
    "a share of nothing": Case("-m identity_16 --request-rate-range 50%", ["give --concurrency-range too"]),
    "warm-up beyond -t": Case("-m identity_16 -u 1 -t 1s --warm-up 5s", ["--run-time", "shorter --warm-up"]),
    "Perf Analyzer's -u": Case("-m identity_16 -u localhost:8001", ["--host localhost:8001"]),
    "Perf Analyzer's -t and -i": Case(
        "-m identity_16 -t 1:4 -i grpc", ["--concurrency-range 1:4", "gRPC is the only protocol"]
    ),
    "Perf Analyzer's -s, -l and -r": Case(
        "-m identity_16 -s 10% -l 100 -r 10 --concurrency-range 1:2",
        ["triton-users: nothing was started: -s 10%", "--latency-threshold 100ms", "--max-trials"],
    ),
    "an HTTP address": Case(
        "-m identity_16 -H http://127.0.0.1:8000", ["--host", "gRPC address as HOST:8001"]
    ),
    "nobody there": Case(
        "-m identity_16 -H 127.0.0.1:1 --wait-ready 2s",
        ["waiting for 127.0.0.1:1", "no Triton answers at 127.0.0.1:1 after 2 s", "--wait-ready"],
    ),
    "unknown demo model": Case("-m nope", ["no demo model is called nope", "identity_16", "-H HOST:8001"]),
    "unknown demo model in a plan": Case(
        "-m nope --dry-run", ["no demo model is called nope", "-H HOST:8001"]
    ),
    "no folder for results": Case(
        "-m identity_16 --results /proc/nope", ["--results /proc/nope", "a folder that you may write to"]
    ),
    "an HttpUser beside": Case(
        "",
        ["Web is no Triton user", "a locustfile of its own"],
        user("model = 'identity_16'")
        + "from locust import HttpUser, task\nclass Web(HttpUser):\n    @task\n    def go(self): ...\n",
    ),
    "only an HttpUser": Case(
        "",
        ["no Triton user", "triton_users.TritonUser"],
        "from triton_users import TritonUser\nfrom locust import HttpUser, task\n"
        "class Web(HttpUser):\n    @task\n    def go(self): ...\n",
    ),
    "no user at all": Case(
        "",
        ["no Triton user", "triton_users.TritonUser", "locustfiles/any.py"],
        "from triton_users import TritonUser\n",
    ),
    "no user at all, and workers": Case(
        "--processes 2",
        ["no Triton user", "triton_users.TritonUser"],
        "from triton_users import TritonUser\n",
    ),
    "only an abstract user": Case(
        "",
        ["no Triton user", "triton_users.TritonUser"],
        "from triton_users import TritonUser\nclass Mine(TritonUser):\n    abstract = True\n",
    ),
    "unknown option of the class": Case(
        "", ["bach_size", "write batch_size"], user("model = 'identity_16'\n    options = {'bach_size': 3}")
    ),
}

WITH_A_SERVER = {
    "unknown model": Case("-H HOST -m nope", ["has no model 'nope'", "identity_16, types"]),
    "not ready": Case(
        "-H HOST -m broken --wait-ready 1s", ["model 'broken' is not ready", "load the model", "--wait-ready"]
    ),
    "HTTP port": Case(
        "-H HTTP -m identity_16 --wait-ready 2s", ["no Triton answers at", "is this its gRPC port"]
    ),
    "batch too large": Case("-H HOST -m identity_16 -b 1,65", ["batch size 65", "at most 64"]),
    "no batching": Case(
        "-H HOST -m fixed_time --shape INPUT0:1 -b 2", ["batch size 2", "fixed_time does not batch"]
    ),
    "variable dimension": Case("-H HOST -m identity", ["INPUT0", "is variable", "--shape INPUT0:"]),
    "wrong shape": Case("-H HOST -m identity_16 --shape INPUT0:3", ["[3] does not fit", "expected [16]"]),
    "wrong input": Case("-H HOST -m identity --shape OTHER:3", ["OTHER: identity has no such input"]),
    "wrong arrays": Case(
        "-H HOST",
        ["Y: identity_16 has no such input", "type INT32, expected FP32", "INPUT0 FP32 [16]"],
        user("model = 'identity_16'\n    inputs = {'INPUT0': np.zeros((3, 5), dtype=np.int32), 'Y': [1]}"),
    ),
    "a function that raises": Case(
        "-H HOST",
        ["the input function raised ValueError: my own fault", "mine.py, line 6"],
        user("model = 'identity_16'\n    def inputs(rng, batch):\n        raise ValueError('my own fault')"),
    ),
    "a function that returns no arrays": Case(
        "-H HOST",
        ["must return {name: array}, not int"],
        user("model = 'identity_16'\n    inputs = lambda r, b: 3"),
    ),
    "unknown dtype": Case(
        "-H HOST",
        ["INPUT0", "type complex128, expected FP32"],
        user("model = 'identity_16'\n    inputs = {'INPUT0': np.zeros(16, dtype=complex)}"),
    ),
    "results not writable": Case("-H HOST -m identity_16 --results /proc/nope", ["/proc/nope"]),
}


def refused(cases: dict[str, Case], folder: Path, **addresses: str) -> None:
    """Run all, some at a time; each must be refused as it should."""
    names = list(cases)
    faults = []
    for at in range(0, len(names), AT_ONCE):
        group = names[at : at + AT_ONCE]
        runs = {name: start(cases[name], folder / str(names.index(name)), addresses) for name in group}
        for name, run in runs.items():
            try:
                check(run, cases[name])
            except AssertionError as error:
                faults.append(f"{name}: {error}\n{run.output}")
            finally:
                run.kill()
    assert not faults, "\n\n".join(faults)


def start(case: Case, folder: Path, addresses: dict[str, str]) -> LocustProcess:
    arguments = [addresses.get(argument, argument) for argument in case.arguments.split()]
    locustfile = case.locustfile or ROOT / "locustfiles/any.py"
    return LocustProcess(folder, *arguments, locustfile=locustfile)


def check(run: LocustProcess, case: Case) -> None:
    code = run.wait()
    assert code == case.code, code
    run.gone()
    output = " ".join(run.output.split())
    missing = [text for text in case.says if text not in output]
    assert not missing, missing
    assert "Traceback" not in output
    assert not run.results.exists()


def test_without_a_server(usable_triton: None, tmp_path: Path) -> None:
    refused(OPTIONS, tmp_path)


@pytest.fixture
def odd_triton(usable_triton: None, tmp_path: Path) -> EmbeddedTriton:
    """A server with a model that cannot be loaded, and the others."""
    parameters = {"fixed_time": {"service_time_ns": "1000"}}
    repository = demo.build(
        tmp_path / "models", ["identity", "identity_16", "fixed_time", "types"], parameters
    )
    broken = repository / "broken"
    broken.mkdir()
    config = (repository / "identity_16/config.pbtxt").read_text()
    (broken / "config.pbtxt").write_text(config)
    return EmbeddedTriton(repository, tmp_path / "server.log", options=("--exit-on-error=false",))


def test_with_a_server(odd_triton: EmbeddedTriton, tmp_path: Path) -> None:
    with odd_triton as server:
        server.wait_ready(lambda: Control(PlainCaller(server.url)).live())
        refused(WITH_A_SERVER, tmp_path, HOST=server.url, HTTP=server.http_url)


@pytest.mark.parametrize("leave", ["stop", "freeze"])
def test_a_server_that_leaves_while_its_model_is_waited_for(
    odd_triton: EmbeddedTriton, tmp_path: Path, leave: str
) -> None:
    """As one does that cannot load a model: no traceback, and not the exit code of failed requests."""
    with odd_triton as server:
        server.wait_ready(lambda: Control(PlainCaller(server.url)).live())
        assert server.pid is not None
        arguments = ("-H", server.url, "-m", "broken", "--wait-ready", "4s")
        with LocustProcess(tmp_path, *arguments) as run:
            run.says("waiting for model broken")
            if leave == "stop":
                server.stop()
            else:
                os.kill(server.pid, signal.SIGSTOP)
            check(run, Case("", [f"no Triton answers at {server.url} after 4 s"]))
            if leave == "freeze":
                os.kill(server.pid, signal.SIGCONT)
