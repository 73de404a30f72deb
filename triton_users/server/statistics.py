"""What Triton itself counted and timed between two moments.

Triton 2.51's counters, as tried on a real one (a request of batch b, answered):
- executed: success + 1, inference_count + b, execution_count + 1 for all requests of a dynamic batch;
- from the response cache: success + 1 and cache_hit + 1; inference_count and execution_count do not move;
- queue is timed for executed requests and cache hits, the compute durations for executed ones alone;
- answered with an error that a Python model made for one request: success all the same;
- refused (wrong data type or shape): not counted at all. An ensemble counts a failed request twice as fail;
- a model that is loaded again, even unchanged, starts again from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


class StatisticsResetError(ValueError):
    """A counter went back: the server or the model was started again, so there is no difference to take."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A sum of durations in ns, and how many there were."""

    count: int = 0
    ns: int = 0

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.count + other.count, self.ns + other.ns)

    def __sub__(self, other: Duration) -> Duration:
        return Duration(self.count - other.count, self.ns - other.ns)

    @property
    def mean_ns(self) -> int | None:
        """Divided by this duration's own count; None when there was none."""
        return round(self.ns / self.count) if self.count else None


@dataclass(frozen=True, slots=True)
class Counts:
    """A model version's counters since it was loaded: requests by outcome with times, and inferences."""

    inference_count: int = 0
    execution_count: int = 0
    success: Duration = Duration()
    fail: Duration = Duration()
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, part.name) - getattr(other, part.name) for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All models' counters at one moment, by (model, version)."""

    models: Mapping[tuple[str, str], Counts]

    @classmethod
    def of(cls, response: Any) -> Snapshot:
        """From a ModelStatisticsResponse."""
        return cls({(model.name, model.version): _counts(model) for model in response.model_stats})


@dataclass(frozen=True, slots=True)
class Split:
    """Where one model's requests spent their time inside the server between two snapshots.

    Durations are means per request in ns, each over the requests that it was timed for; None where there were
    none. ``composing`` has an ensemble's models, each with its own split.
    """

    success_count: int
    fail_count: int
    inference_count: int
    execution_count: int
    cache_hits: int
    cache_misses: int
    mean_executed_batch: float | None
    request_ns: int | None
    queue_ns: int | None
    compute_input_ns: int | None
    compute_infer_ns: int | None
    compute_output_ns: int | None
    cache_hit_ns: int | None
    cache_miss_ns: int | None
    composing: Mapping[str, Split] = field(default_factory=dict)


def delta(
    before: Snapshot, after: Snapshot, model: str, version: str = "", composing: Iterable[str] = ()
) -> Split:
    """What happened to ``model`` (all its versions by default) from ``before`` to ``after``.

    A version that is only in ``after`` counts from zero. Raises KeyError when ``after`` has no such model,
    StatisticsResetError when a counter went back or a version is gone.
    """
    then, now = (_summed(snapshot, model, version) for snapshot in (before, after))
    gone = [name for name in before.models if name not in after.models and name[0] == model]
    if now is None:
        raise KeyError(f"the server's statistics have no model {model} version {version or 'any'}")
    difference = now - (then or Counts())
    if gone or _went_back(difference):
        raise StatisticsResetError(
            f"{model} was loaded again, or its server started again, between two snapshots"
        )
    return _split(difference, {name: delta(before, after, name) for name in composing})


def started_again(before: Snapshot, after: Snapshot) -> list[str]:
    """The models whose counters went back from ``before`` to ``after``."""
    both = before.models.keys() & after.models.keys()
    return sorted({key[0] for key in both if _went_back(after.models[key] - before.models[key])})


def composing_models(model: str, config: Callable[[str], Any]) -> list[str]:
    """The names of the models that an ensemble is made of, and theirs, in the order of their steps.

    ``config`` gives a model's ModelConfig by name. Empty for a model that is no ensemble.
    """
    found: dict[str, None] = {}
    waiting = [model]
    while waiting:
        for step in config(waiting.pop(0)).ensemble_scheduling.step:
            if step.model_name not in found and step.model_name != model:
                found[step.model_name] = None
                waiting.append(step.model_name)
    return list(found)


def _counts(model: Any) -> Counts:
    timed = model.inference_stats
    durations = {
        part.name: Duration(getattr(timed, part.name).count, getattr(timed, part.name).ns)
        for part in fields(Counts)
        if part.name not in {"inference_count", "execution_count"}
    }
    return Counts(model.inference_count, model.execution_count, **durations)


def _summed(snapshot: Snapshot, model: str, version: str) -> Counts | None:
    counts = [c for (name, v), c in snapshot.models.items() if name == model and version in {"", v}]
    return sum(counts[1:], counts[0]) if counts else None


def _went_back(difference: Counts) -> bool:
    """A server that was started again may have overtaken its old counts, but seldom its times as well."""
    for part in fields(difference):
        value = getattr(difference, part.name)
        if (min(value.count, value.ns) if isinstance(value, Duration) else value) < 0:
            return True
    return False


def _split(difference: Counts, composing: Mapping[str, Split]) -> Split:
    executions = difference.execution_count
    return Split(
        success_count=difference.success.count,
        fail_count=difference.fail.count,
        inference_count=difference.inference_count,
        execution_count=executions,
        cache_hits=difference.cache_hit.count,
        cache_misses=difference.cache_miss.count,
        mean_executed_batch=difference.inference_count / executions if executions else None,
        request_ns=difference.success.mean_ns,
        queue_ns=difference.queue.mean_ns,
        compute_input_ns=difference.compute_input.mean_ns,
        compute_infer_ns=difference.compute_infer.mean_ns,
        compute_output_ns=difference.compute_output.mean_ns,
        cache_hit_ns=difference.cache_hit.mean_ns,
        cache_miss_ns=difference.cache_miss.mean_ns,
        composing=composing,
    )
