"""async_infer: one callback, whatever happens."""

from __future__ import annotations

from typing import Any

import gevent
import numpy as np
import pytest
from gevent.event import Event
from tritonclient.grpc import service_pb2

import triton_users.client as ours


class Waiting:
    """Answers with the request's id once it is told to."""

    def __init__(self) -> None:
        self.go = Event()
        self.error: Exception | None = None
        self.answered = 0

    def call(self, _path: str, message: bytes, _timeout_ns: int | None, _headers: Any) -> bytes:
        assert self.go.wait(5)
        self.answered += 1
        if self.error:
            raise self.error
        request = service_pb2.ModelInferRequest.FromString(message)
        return bytes(service_pb2.ModelInferResponse(id=request.id).SerializeToString())

    def close(self) -> None: ...


class Outcomes(list[tuple[Any, Any]]):
    def __call__(self, result: Any, error: Any) -> None:
        self.append((result, error))


@pytest.fixture
def channel() -> Waiting:
    return Waiting()


@pytest.fixture
def client(channel: Waiting) -> ours.InferenceServerClient:
    return ours.InferenceServerClient("nowhere:1", channel=channel)


def test_the_result_goes_to_the_callback(client: ours.InferenceServerClient, channel: Waiting) -> None:
    outcomes = Outcomes()
    contexts = [client.async_infer("m", [], outcomes, request_id=str(i)) for i in range(3)]
    with pytest.raises(ours.InferenceServerException, match="no answer yet"):
        contexts[0].get_result(block=False)
    assert outcomes == []
    channel.go.set()
    assert [context.get_result(timeout=5).get_response().id for context in contexts] == ["0", "1", "2"]
    gevent.idle()
    assert [(result.get_response().id, error) for result, error in outcomes] == [
        ("0", None),
        ("1", None),
        ("2", None),
    ]


def test_errors_go_there_too(client: ours.InferenceServerClient, channel: Waiting) -> None:
    outcomes = Outcomes()
    channel.go.set()
    channel.error = KeyError("of a subclass")
    context = client.async_infer("m", [], outcomes)
    with pytest.raises(KeyError):
        context.get_result(timeout=5)
    ((result, error),) = outcomes
    assert result is None and isinstance(error, KeyError)
    with pytest.raises(ours.InferenceServerException, match="version"):
        client.async_infer("m", [], outcomes, model_version=1)  # type: ignore[arg-type]
    assert len(outcomes) == 1


def test_cancelling_lets_the_request_end_and_drops_its_answer(
    client: ours.InferenceServerClient, channel: Waiting
) -> None:
    outcomes = Outcomes()
    context = client.async_infer("m", [], outcomes)
    gevent.sleep(0)
    context.cancel()
    ((result, error),) = outcomes
    assert result is None and error.status() == "StatusCode.CANCELLED"
    channel.go.set()
    gevent.idle()
    assert (channel.answered, len(outcomes)) == (1, 1)
    with pytest.raises(ours.InferenceServerException, match="cancelled"):
        context.get_result()


def test_inputs_may_change_once_it_returns(client: ours.InferenceServerClient) -> None:
    seen: list[bytes] = []

    class Keeping(ours.InferenceServerClient):
        def _send(self, message: bytes, *_: Any) -> bytes:
            seen.append(message)
            return b""

    tensor = ours.InferInput("A", [1], "INT32").set_data_from_numpy(np.int32([1]))
    context = Keeping("nowhere:1", channel=Waiting()).async_infer("m", [tensor], Outcomes())
    tensor.set_data_from_numpy(np.int32([2]))
    context.get_result(timeout=5)
    request = service_pb2.ModelInferRequest.FromString(seen[0])
    assert request.raw_input_contents == [b"\x01\x00\x00\x00"]
