"""A user's task with the client that it really has, on a real Triton: infer, async_infer, control calls."""

from __future__ import annotations

import gevent
import numpy as np
import pytest

import triton_users.client as grpcclient
from tests.fakes.task_user import TaskUser, users
from tests.ledger import failures
from tests.rig import SIXTEEN, Rig, flow, step
from triton_users.server.embedded import EmbeddedTriton
from triton_users.step import CLOSED, CONSTANT
from triton_users.users.task_client import TaskClient

pytestmark = pytest.mark.usefixtures("bounded")

VALUES = np.arange(16, dtype=np.float32).reshape(1, 16)


def prepared(offset: float) -> list[grpcclient.InferInput]:
    tensor = grpcclient.InferInput("INPUT0", [1, 16], "FP32")
    tensor.set_data_from_numpy(VALUES + np.float32(offset))
    return [tensor]


def both_ways(user: TaskUser) -> None:
    client = TaskClient(user.pool, user.member)
    answers: dict[float, float] = {}

    def keep(result: grpcclient.InferResult | None, error: Exception | None) -> None:
        assert error is None and result is not None
        answers[1] = result.as_numpy("OUTPUT0")[0, 0]

    context = client.async_infer("identity", prepared(1), keep)
    answers[0] = client.infer("identity", prepared(0)).as_numpy("OUTPUT0")[0, 0]
    context.get_result(timeout=5)
    gevent.sleep(0)
    assert answers == {0: 0.0, 1: 1.0}
    assert client.is_server_live()


@pytest.mark.parametrize(("process", "rate"), [(CLOSED, None), (CONSTANT, 50.0)])
def test_infer_and_async_infer_of_one_task(triton: EmbeddedTriton, process: str, rate: float | None) -> None:
    with Rig(triton.url) as rig:
        tasks = flow(process, rate=rate, classes=())
        crowd = users(rig.pool(tasks), both_ways, 40)  # for all arrivals at once, if the machine stalls
        windows, totals = rig.run(step(tasks, interval=0.6), 40)
        for user in crowd:
            user.kill()
        assert not [error for user in crowd for error in user.errors]
        assert totals["ok"] == totals["scheduled"] > 10
        assert not failures(windows)
        if rate is not None:
            assert totals["ok"] == 2 * 30
        assert {key.cls for window in windows for key in window.series} == {SIXTEEN}
