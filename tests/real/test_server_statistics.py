"""Control calls and counters of a real Triton: what our docstrings say of them holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import started
from tests.real.server_caller import CallError, PlainCaller, infer_request
from triton_users import demo
from triton_users.server.audit import audit
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.server.statistics import Snapshot, Split, StatisticsResetError, composing_models, delta

ENSEMBLE = """
name: "both"
platform: "ensemble"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
ensemble_scheduling {
  step [
    {
      model_name: "identity" model_version: -1
      input_map { key: "INPUT0" value: "INPUT0" }
      output_map { key: "OUTPUT0" value: "between" }
    },
    {
      model_name: "failing" model_version: -1
      input_map { key: "INPUT0" value: "between" }
      output_map { key: "OUTPUT0" value: "OUTPUT0" }
    }
  ]
}
"""


def settled(
    control: Control,
    before: Snapshot,
    model: str,
    requests: int,
    composing: tuple[str, ...] = (),
    failures: int = 0,
) -> Split:
    """The split once the server has counted so many: it reports after it has answered."""
    deadline = time.monotonic() + 10
    while True:
        split = delta(before, Snapshot.of(control.statistics()), model, composing=composing)
        if (split.success_count >= requests and split.fail_count >= failures) or time.monotonic() > deadline:
            return split


def send(caller: PlainCaller, model: str, batch: int, seed: int) -> None:
    raw = np.random.default_rng(seed).random((batch, 4), np.float32).tobytes()
    caller.infer(infer_request(model, INPUT0=("FP32", [batch, 4], raw)))


def test_control(triton: EmbeddedTriton) -> None:
    control = Control(PlainCaller(triton.url))
    assert control.live()
    assert control.ready()
    assert control.model_ready("identity")
    assert control.model_ready("identity", "1")
    assert not control.model_ready("identity", "2")
    assert not control.model_ready("no-such-model")
    name, version, extensions = control.server_metadata()
    assert (name, version[:2]) == ("triton", "2.")
    assert "statistics" in extensions
    assert control.repository_index() == sorted(demo.MODELS)
    assert [(i.name, i.datatype, list(i.shape)) for i in control.metadata("espcn").inputs] == [
        ("input", "FP32", [-1, 1, 224, 224])
    ]
    assert control.config("espcn").max_batch_size == 16
    with pytest.raises(CallError, match=r"NOT_FOUND|INVALID_ARGUMENT"):
        control.metadata("no-such-model")


def test_nobody_there_is_not_ready() -> None:
    control = Control(PlainCaller("127.0.0.1:9"))
    assert not control.live()
    assert not control.ready()
    assert not control.model_ready("identity")
    with pytest.raises(CallError, match="UNAVAILABLE"):
        control.server_metadata()


def test_cache_hits_are_successes_but_no_inferences(fresh_triton: EmbeddedTriton) -> None:
    caller = PlainCaller(fresh_triton.url)
    control = Control(caller)
    before = Snapshot.of(control.statistics())
    for seed in (1, 2, 1, 1, 2):
        send(caller, "identity", 4, seed)
    split = settled(control, before, "identity", 5)
    assert (split.success_count, split.cache_hits, split.cache_misses) == (5, 3, 2)
    assert (split.inference_count, split.execution_count, split.mean_executed_batch) == (8, 2, 4.0)
    assert split.compute_infer_ns
    assert split.cache_hit_ns
    assert audit(5, 20, split, batch_sizes=[4]).equal
    assert not audit(4, 16, split, batch_sizes=[4]).equal


def test_loading_again_resets_the_counters(fresh_triton: EmbeddedTriton) -> None:
    caller = PlainCaller(fresh_triton.url)
    control = Control(caller)
    before = Snapshot.of(control.statistics())
    send(caller, "identity", 1, 3)
    settled(control, before, "identity", 1)
    full = Snapshot.of(control.statistics())
    fresh_triton.restart()
    fresh_triton.wait_ready(control.ready)
    with pytest.raises(StatisticsResetError):
        delta(full, Snapshot.of(control.statistics()), "identity")


def test_errors_and_ensembles(usable_triton: None, tmp_path: Path) -> None:
    repository = demo.build(tmp_path / "models", ["identity", "failing"])
    (repository / "both" / "1").mkdir(parents=True)
    (repository / "both" / "config.pbtxt").write_text(ENSEMBLE)
    server = started(repository, tmp_path / "server.log")
    try:
        caller = PlainCaller(server.url)
        control = Control(caller)
        assert composing_models("both", control.config) == ["identity", "failing"]
        before = Snapshot.of(control.statistics())
        send(caller, "failing", 2, 1)
        with pytest.raises(CallError, match="INTERNAL"):
            send(caller, "failing", 2, 2)
        split = settled(control, before, "failing", 2)
        assert (split.success_count, split.fail_count) == (2, 0), (
            "the model's own error is a success to Triton"
        )
        assert audit(1, 2, split, batch_sizes=[2], ours_failed=1).equal
        assert not audit(1, 2, split, batch_sizes=[2]).equal

        before = Snapshot.of(control.statistics())
        send(caller, "both", 2, 3)
        with pytest.raises(CallError):
            send(caller, "both", 2, 4)
        split = settled(control, before, "both", 1, ("identity", "failing"), failures=1)
        assert split.success_count == 1
        assert split.fail_count >= 1
        assert {name: part.success_count for name, part in split.composing.items()} == {
            "identity": 2,
            "failing": 2,
        }
        assert audit(1, 2, split, batch_sizes=[2], ours_failed=1).equal
        refuse(lambda: caller.infer(infer_request("identity", INPUT0=("FP64", [1, 1], bytes(8)))))
        assert delta(before, Snapshot.of(control.statistics()), "identity").fail_count == 0
    finally:
        server.stop()


def refuse(call: Callable[[], object]) -> None:
    with pytest.raises(CallError, match="INVALID_ARGUMENT"):
        call()
