"""The request that is sent before the first step of a batch size, to learn how long a warm-up must be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from tritonclient.grpc import service_pb2

from triton_users.inputs import ModelSpec
from triton_users.inputs.tensors import TensorSpec
from triton_users.net import RpcError
from triton_users.options.settings import Settings
from triton_users.plan.flows import Source
from triton_users.plan.steps import Point, build_step
from triton_users.run import probe as probe_module
from triton_users.run.probe import Probe
from triton_users.step import Step
from triton_users.units import NS_PER_MS, NS_PER_S

SPEC = ModelSpec("m", "1", 64, (TensorSpec("IN", "FP32", (2,)),), ())
SETTINGS = Settings()


class Server:
    """A target whose answers take ``takes_ms``, one after the other, the last for ever."""

    def __init__(self, *takes_ms: float, error: Exception | None = None) -> None:
        self.takes_ms, self.error = list(takes_ms), error
        self.asked: list[Any] = []
        self.channel = self

    def spec(self, model: str, version: str) -> ModelSpec:
        return SPEC

    def call(self, path: str, message: bytes, timeout_ns: int | None = None) -> bytes:
        assert path == "/inference.GRPCInferenceService/ModelInfer"
        assert timeout_ns is None  # a server may answer a deadline by cancelling
        self.asked.append(service_pb2.ModelInferRequest.FromString(message))
        takes = self.takes_ms.pop(0) if len(self.takes_ms) > 1 else self.takes_ms[0]
        gevent.sleep(takes / 1000)
        if self.error is not None:
            raise self.error
        return b""


def step(*sizes: int, tasks: bool = False) -> Step:
    batches = tuple((size, 1.0) for size in sizes)
    source = Source("Mine", "Mine", "m", shapes=(((("IN", (2,)),), 1.0),), tasks=tasks)
    return build_step(0, Point(batches, "", users=4), SETTINGS, [source])


def probed(server: Server, step: Step, **settings: int) -> int | None:
    target: Any = server
    return Probe(target, {"Mine": SimpleNamespace(inputs=None)}, replace(SETTINGS, **settings), 0)(step)


def test_one_request_of_each_class_and_the_longest_counts() -> None:
    server = Server(5, 30)
    found = probed(server, step(1, 8))
    assert found is not None and 30 <= found / NS_PER_MS < 300
    assert [list(one.inputs[0].shape) for one in server.asked] == [[1, 2], [8, 2]]


def test_a_model_that_warms_up_is_asked_again() -> None:
    """Its first answer took longer than any after it."""
    server = Server(800, 20)
    found = probed(server, step(1))
    assert found is not None and found < 500 * NS_PER_MS
    assert len(server.asked) == 2


@pytest.mark.parametrize("error", [RpcError("UNAVAILABLE", "gone"), ZeroDivisionError(), None])
def test_what_cannot_be_known_is_left_to_the_step(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "LIMIT_NS", NS_PER_S // 10)
    server = Server(1 if error else 10_000, error=error)
    assert probed(server, step(1)) is None


def test_an_answer_is_known_though_the_next_one_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "LIMIT_NS", NS_PER_S)
    server = Server(700, 10_000)
    found = probed(server, step(1))
    assert found is not None and 700 <= found / NS_PER_MS < 1000
    first, second = (one.raw_input_contents for one in server.asked)
    assert first != second  # a cache would answer the same one


def test_what_users_own_tasks_send_is_not_known() -> None:
    server = Server(1)
    assert probed(server, step(1, tasks=True)) is None
    assert server.asked == []
