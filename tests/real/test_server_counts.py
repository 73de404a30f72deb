"""The arithmetic of counters, on statistics recorded from a Triton 2.51; no server runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from triton_users.server.audit import audit
from triton_users.server.statistics import (
    Counts,
    Duration,
    Snapshot,
    Split,
    StatisticsResetError,
    composing_models,
    delta,
)

FIRST = {  # one request of batch 4, executed
    **{"success": (1, 56_974_000), "fail": (0, 0), "queue": (1, 90_000), "compute_input": (1, 221_000)},
    **{"compute_infer": (1, 54_623_000), "compute_output": (1, 1_400_000)},
    **{"cache_hit": (0, 0), "cache_miss": (1, 637_000)},
}
SECOND = {  # and five more, from the cache
    **{"success": (6, 57_017_000), "fail": (0, 0), "queue": (6, 102_000), "compute_input": (1, 221_000)},
    **{"compute_infer": (1, 54_623_000), "compute_output": (1, 1_400_000)},
    **{"cache_hit": (5, 24_000), "cache_miss": (1, 637_000)},
}


def recorded(durations: Mapping[str, tuple[int, int]], *, version: str = "1") -> Snapshot:
    stats = service_pb2.ModelStatistics(
        name="identity", version=version, inference_count=4, execution_count=1
    )
    for name, (count, ns) in durations.items():
        part = getattr(stats.inference_stats, name)
        part.count, part.ns = count, ns
    return Snapshot.of(service_pb2.ModelStatisticsResponse(model_stats=[stats]))


def test_each_duration_is_divided_by_its_own_count() -> None:
    split = delta(Snapshot({}), recorded(SECOND), "identity")
    assert (split.success_count, split.inference_count, split.execution_count) == (6, 4, 1)
    assert split.mean_executed_batch == 4.0
    assert split.queue_ns == 17_000
    assert split.compute_infer_ns == 54_623_000
    assert split.cache_hit_ns == 4_800
    assert split.cache_miss_ns == 637_000


def test_what_did_not_happen_has_no_duration() -> None:
    split = delta(recorded(FIRST), recorded(SECOND), "identity")
    assert (split.success_count, split.cache_hits, split.inference_count, split.execution_count) == (
        5,
        5,
        0,
        0,
    )
    assert split.mean_executed_batch is None
    assert split.compute_input_ns is split.compute_infer_ns is split.compute_output_ns is None
    assert split.queue_ns == 2_400


def test_versions_are_summed_or_chosen() -> None:
    both = Snapshot({**recorded(FIRST).models, **recorded(SECOND, version="2").models})
    assert delta(Snapshot({}), both, "identity").success_count == 7
    assert delta(Snapshot({}), both, "identity", "2").success_count == 6
    with pytest.raises(KeyError, match="no model identity version 3"):
        delta(Snapshot({}), both, "identity", "3")
    with pytest.raises(StatisticsResetError):
        delta(both, recorded(SECOND), "identity")


def test_a_counter_that_went_back_is_a_reset() -> None:
    with pytest.raises(StatisticsResetError, match="identity"):
        delta(recorded(SECOND), recorded(FIRST), "identity")


def test_counts_add_and_subtract_in_every_field() -> None:
    one = Counts(*(7 if part.type == "int" else Duration(3, 5) for part in fields(Counts)))
    assert one + one - one == one
    assert one - one == Counts()


def test_composing_models_are_found_through_ensembles() -> None:
    steps = {"whole": ["prepare", "inner", "finish"], "inner": ["network", "prepare"]}

    def config(name: str) -> model_config_pb2.ModelConfig:
        made = model_config_pb2.ModelConfig(name=name)
        for step in steps.get(name, []):
            made.ensemble_scheduling.step.add(model_name=step)
        return made

    assert composing_models("whole", config) == ["prepare", "inner", "finish", "network"]
    assert composing_models("network", config) == []


def split_of(**counts: int) -> Split:
    empty = delta(Snapshot({}), Snapshot({("m", "1"): Counts()}), "m")
    return replace(empty, **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ok", "inferences", "equal"), [(10, 80, True), (9, 80, False), (11, 88, False), (10, 79, False)]
)
def test_audit_is_exact_for_one_batch_size(ok: int, inferences: int, equal: bool) -> None:
    split = split_of(success_count=10, cache_hits=4, inference_count=48)
    assert audit(ok, inferences, split, batch_sizes=[8]).equal is equal


def test_audit_allows_what_the_server_does_not_say() -> None:
    mixed = split_of(success_count=10, cache_hits=4, inference_count=20)
    assert [audit(10, n, mixed, batch_sizes=[1, 8]).equal for n in (23, 24, 52, 53)] == [
        False,
        True,
        True,
        False,
    ]
    with_errors = split_of(success_count=10, inference_count=10)
    assert audit(7, 7, with_errors, ours_failed=3).equal
    assert not audit(7, 7, with_errors, ours_failed=2).equal


def test_audit_skipped_says_why() -> None:
    skipped = audit(1, 1, split_of(success_count=5), skipped="others use the server")
    assert skipped.equal is None
    assert (skipped.ours, skipped.server, skipped.skipped) == (1, 5, "others use the server")
