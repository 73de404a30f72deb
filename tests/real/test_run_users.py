"""Locustfiles as users write them: declarative, with tasks, several classes; in both kinds of load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real.locust_process import LocustProcess, finish
from triton_users.server.embedded import EmbeddedTriton

Start = Callable[..., LocustProcess]
SHORT = ("--warm-up", "200ms", "-p", "500ms")
RATE = ("--request-rate-range", "60", *SHORT)
LOOP = ("--concurrency-range", "3", *SHORT)

HEAD = """
import numpy as np
from locust import SequentialTaskSet, TaskSet, between, constant, task
from triton_users import TritonUser
import triton_users.client as grpcclient

def made(rng, batch):
    return {"INPUT0": rng.random((batch, 16), dtype=np.float32)}

def infer(user, model="identity_16", batch=1):
    tensor = grpcclient.InferInput("INPUT0", [batch, 16], "FP32")
    tensor.set_data_from_numpy(np.ones((batch, 16), np.float32))
    return user.client.infer(model, [tensor])
"""


@pytest.fixture
def mine(triton: EmbeddedTriton, tmp_path: Path) -> Start:
    """Runs a locustfile's classes on the shared server, to its end."""

    def run(body: str, *arguments: str, code: int = 0) -> LocustProcess:
        with LocustProcess(tmp_path / "run", "-H", triton.url, *arguments, locustfile=HEAD + body) as process:
            return finish(process, code, tracebacks=2 * code)  # once in each of two workers

    return run


def test_inputs_of_every_kind_and_two_flows(mine: Start) -> None:
    """Arrays, a function, a lambda and a staticmethod, at their weights, each class a flow of its own."""
    run = mine(
        """
class Arrays(TritonUser):
    model = "identity_16"
    inputs = {"INPUT0": np.arange(48, dtype=np.float32).reshape(3, 16)}
    weight = 3

class Method(TritonUser):
    model = "identity_16"
    def inputs(rng, batch):
        return made(rng, batch)

class Lambda(TritonUser):
    model = "identity_16"
    inputs = lambda rng, batch: made(rng, batch)

class Static(TritonUser):
    model = "identity_16"
    inputs = staticmethod(made)
""",
        *("-b", "2", "--request-rate-range", "120", *SHORT),
    )
    rows = {row["flow"]: row for row in run.rows if row["flow"] is not None}
    scheduled = {flow: row["scheduled"] for flow, row in rows.items()}
    assert set(scheduled) == {"Arrays", "Method", "Lambda", "Static"}
    assert scheduled["Arrays"] > scheduled["Method"]
    rates = {flow: row["request_rate"] for flow, row in rows.items()}
    assert rates == {"Arrays": 60, "Method": 20, "Lambda": 20, "Static": 20}
    assert all(row["ok"] == row["scheduled"] for row in run.rows)
    assert all(row["class"]["batch_size"] == 2 for row in rows.values())


def test_weights_share_out_users(mine: Start) -> None:
    run = mine(
        """
class Often(TritonUser):
    model = "identity_16"
    weight = 2

class Seldom(TritonUser):
    model = "fixed_time"
    inputs = {"INPUT0": np.zeros(1, np.int64)}
""",
        *LOOP,
    )
    users = {row["flow"]: row["concurrency"] for row in run.rows if row["flow"] is not None}
    assert users == {"Often": 2, "Seldom": 1}


TASKS = """
class Caller(TritonUser):
    wait_time = between(5, 9)
    @task(3)
    def small(self):
        result = infer(self)
        assert result.as_numpy("OUTPUT0").shape == (1, 16)
    @task
    def large(self):
        infer(self, batch=8)
"""


def test_tasks_in_closed_loop(mine: Start) -> None:
    """Every user has one request in flight; batch sizes are classes, of which there is one row for all."""
    run = mine(TASKS.replace("between(5, 9)", "between(0, 0.001)"), *LOOP)
    whole = [row for row in run.rows if row["class"] is None]
    parts = {row["class"]["batch_size"]: row for row in run.rows if row["class"] is not None}
    assert set(parts) == {1, 8}
    assert parts[1]["ok"] > parts[8]["ok"] > 0
    assert whole[0]["scheduled"] == parts[1]["scheduled"] + parts[8]["scheduled"]
    assert whole[0]["failed"] == 0


def test_tasks_under_a_rate(mine: Start) -> None:
    """wait_time would leave one request a user: it is ignored, and said so once."""
    run = mine(TASKS, *RATE)
    whole = next(row for row in run.rows if row["class"] is None)
    assert whole["mode"] == "open"
    assert whole["ok"] == whole["scheduled"] > 10
    assert run.output.count("wait_time") == 1
    assert "ignored" in run.output


def test_what_tasks_may_do(mine: Start) -> None:
    """Two requests in a task, none, an exception, a refused request, a nested TaskSet, control calls."""
    run = mine(
        """
class Twice(TritonUser):
    @task
    def go(self):
        infer(self)
        infer(self)

class Never(TritonUser):
    @task
    def go(self):
        pass

class Raises(TritonUser):
    @task
    def go(self):
        infer(self)
        raise RuntimeError("a fault in the task")

class Unknown(TritonUser):
    @task
    def go(self):
        infer(self, "no_such_model")

class Nested(TritonUser):
    @task
    class Inner(TaskSet):
        @task
        def go(self):
            assert self.client.get_model_metadata("identity_16").name == "identity_16"
            infer(self.user)
            self.interrupt()
""",
        *("--request-rate-range", "200", "--request-distribution", "constant", *SHORT),
        code=1,
    )
    rows = {row["flow"]: row for row in run.rows}
    assert rows["Twice"]["ok"] == rows["Twice"]["scheduled"] > 0
    assert rows["Twice"]["ok"] > 1.5 * rows["Nested"]["ok"]
    assert rows["Never"]["errors"] == {"NO_REQUEST": rows["Never"]["scheduled"]}
    assert rows["Raises"]["ok"] == rows["Raises"]["scheduled"]
    assert set(rows["Unknown"]["errors"]) == {"NOT_FOUND"}
    assert rows["Nested"]["ok"] == rows["Nested"]["scheduled"]
    assert run.output.count("RuntimeError: a fault in the task") == 1


TASK_SETS = """
class Forever(TritonUser):
    @task
    class Loop(TaskSet):
        wait_time = constant(30)
        def on_start(self):
            print("on_start of Loop")
        @task
        def go(self):
            infer(self.user)
        @task
        def raises(self):
            infer(self.user)
            raise RuntimeError("a fault in a nested task")

class Sequence(TritonUser):
    @task
    class Outer(TaskSet):
        @task
        class Inner(SequentialTaskSet):
            def on_start(self):
                infer(self.user)
            @task
            def first(self):
                pass
            @task
            def second(self):
                infer(self.user)
                self.interrupt(reschedule=False)
        @task
        def leave(self):
            infer(self.user)
            self.interrupt(reschedule=False)
"""


def test_task_sets_under_a_rate(mine: Start) -> None:
    """An arrival is one run of one task, in TaskSets too: those that never interrupt go on with the next
    arrival, however long they would have waited; on_start belongs to the task that follows it."""
    run = mine(
        TASK_SETS,
        *("--request-rate-range", "200", "--request-distribution", "constant"),
        *("--max-in-flight", "60", *SHORT),
        code=1,
    )
    rows = {row["flow"]: row for row in run.rows if row["flow"] is not None}
    assert set(rows) == {"Forever", "Sequence"}
    for row in rows.values():
        assert row["request_rate"] == 100
        assert row["ok"] + row["dropped"] == row["scheduled"] == 50, row
    assert "wait_time is ignored under a request rate" in run.output
    assert 1 < run.output.count("on_start of Loop") <= 30, "entered once by each user"
    assert run.output.count("RuntimeError: a fault in a nested task") == 1


def test_requests_of_a_task_after_the_end_are_in_the_audit(mine: Start) -> None:
    """A task that has begun goes on to its end, while the load drains; Triton counts all of it."""
    run = mine(
        """
def slow(user):
    tensor = grpcclient.InferInput("INPUT0", [1], "INT64")
    tensor.set_data_from_numpy(np.ones(1, np.int64))
    user.client.infer("fixed_time", [tensor])

class Twice(TritonUser):
    @task
    def go(self):
        slow(self)
        slow(self)
""",
        *("--request-rate-range", "150", *SHORT),
    )
    after = [series for line in run.lines for series in line["series"] if series["trial"] == -2]
    assert sum(series["scheduled"] for series in after) > 0
    assert run.rows[0]["audit"]["equal"] is True


def test_task_sets_in_closed_loop_wait_as_long_as_they_say(mine: Start) -> None:
    run = mine(
        """
class Thinks(TritonUser):
    @task
    class Inner(TaskSet):
        wait_time = constant(0.1)
        @task
        def go(self):
            infer(self.user)
""",
        *LOOP,
    )
    assert 3 <= run.rows[0]["ok"] == run.rows[0]["scheduled"] <= 3 * 6
    assert "ignored" not in run.output


NEVER = """
class Never(TritonUser):
    @task
    def go(self):
        pass
"""
NEVER_IN_SETS = """
class Never(TritonUser):
    @task
    class Inner(TaskSet):
        def on_start(self):
            self.interrupt()
        @task
        def go(self):
            pass
    @task
    class Empty(TaskSet):
        @task
        def go(self):
            self.interrupt()
"""


@pytest.mark.parametrize("body", [NEVER, NEVER_IN_SETS], ids=["a task", "TaskSets"])
def test_tasks_that_never_send_in_closed_loop(mine: Start, body: str) -> None:
    """They neither hang nor eat the processor for ever: the run ends, and is not valid."""
    run = mine(body, *LOOP, code=4)
    assert run.codes()["nothing_scheduled"] == 1


@pytest.mark.parametrize("workers", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_an_exception_alone_is_a_failure(mine: Start, workers: tuple[str, ...]) -> None:
    """Every request was answered, and yet the tasks did not do what they should: Locust's rule, exit 1. All
    workers' exceptions are counted, to the last."""
    run = mine(
        """
class Raises(TritonUser):
    @task
    def go(self):
        infer(self)
        raise RuntimeError("a fault in the task")
""",
        *(*workers, *RATE),
        code=1,
    )
    assert run.rows[0]["failed"] == 0
    assert run.summary["run"]["exceptions"] == sum(
        series["scheduled"] for line in run.lines for series in line["series"]
    )
    assert "exceptions: the first of each kind is in the log" in run.output


def test_what_fails_beside_a_request_is_told(mine: Start) -> None:
    """A request that fails is booked with its status, wherever a task made it; anything else is an exception
    of the task, also when it comes from the client."""
    run = mine(
        """
class Streams(TritonUser):
    @task
    def go(self):
        infer(self)
        self.client.start_stream(print)

class Starts(TritonUser):
    wait_time = between(5, 9)
    @task
    class Inner(TaskSet):
        def on_start(self):
            infer(self.user, "nowhere")
        @task
        def go(self):
            raise RuntimeError("never reached")
""",
        *("--request-rate-range", "200", "--request-distribution", "constant", *SHORT),
        code=1,
    )
    rows = {row["flow"]: row for row in run.rows if row["flow"] is not None}
    assert rows["Streams"]["ok"] == rows["Streams"]["scheduled"] == 50
    assert rows["Starts"]["errors"] == {"NOT_FOUND": rows["Starts"]["scheduled"]}, "no user waits"
    assert run.output.count("streams are not supported yet") == 2, "the line, and its traceback"
    assert "never reached" not in run.output
    of_streams = sum(
        series["scheduled"] for line in run.lines for series in line["series"] if series["flow"] == "Streams"
    )
    assert run.summary["run"]["exceptions"] == of_streams
