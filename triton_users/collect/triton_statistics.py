"""What Triton has counted and timed since the last look, per model and version, by gRPC.

Counts are those of the interval, durations means per request of the interval: absent where there was none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from triton_users.collect.sensor import Failed, Reading, Restart
from triton_users.net import Channel, RpcError
from triton_users.server.control import Control
from triton_users.server.statistics import (
    Snapshot,
    Split,
    StatisticsResetError,
    composing_models,
    delta,
    started_again,
)
from triton_users.units import NS_PER_S

TIMEOUT_NS = NS_PER_S
COUNTS = ("success_count", "fail_count", "inference_count", "execution_count", "cache_hits", "cache_misses")
MEANS = (
    "mean_executed_batch",
    "queue_ns",
    "compute_input_ns",
    "compute_infer_ns",
    "compute_output_ns",
)


class TritonStatistics:
    """``url`` is HOST:PORT. ``models`` are told, with those they are composed of; all where none is given."""

    source = "triton_statistics"

    def __init__(self, url: str, models: Iterable[str] = ()) -> None:
        self._url, self._asked = url, tuple(models)
        self._models: frozenset[str] = frozenset()
        self._channel: Channel | None = None
        self._control: Control
        self._last: Snapshot | None = None
        self._seen = Snapshot({})
        """Of each model the newest counters, also from before a failure: smaller ones tell of a restart."""

    def open(self) -> None:
        self._channel = Channel(self._url)
        self._control = Control(self._channel, TIMEOUT_NS)
        try:
            found = set(self._asked)
            for model in self._asked:
                found.update(composing_models(model, self._control.config))
        except RpcError as error:
            raise self._failed(error) from error
        self._models = frozenset(found)

    def sample(self, now_ns: int) -> Iterator[Reading | Restart]:
        try:
            snapshot = Snapshot.of(self._control.statistics())
        except RpcError as error:
            raise self._failed(error) from error
        if again := [model for model in started_again(self._seen, snapshot) if self._asked_for(model)]:
            yield Restart(f"the statistics of {', '.join(again)} began again from zero")
        self._seen = Snapshot({**self._seen.models, **snapshot.models})
        last, self._last = self._last, snapshot
        if last is None:
            return
        for model, version in snapshot.models:
            if not self._asked_for(model):
                continue
            try:
                split = delta(last, snapshot, model, version)
            except StatisticsResetError:
                continue  # loaded again: the next second has a difference
            yield Reading({"model": model, "version": version}, _values(split))

    def close(self) -> None:
        self._last = None
        if self._channel is not None:
            self._channel.close(0)
            self._channel = None

    def _asked_for(self, model: str) -> bool:
        return not self._models or model in self._models

    def _failed(self, error: RpcError) -> Failed:
        return Failed(f"{self._url} does not tell its statistics: {error.message or error.status}")


def _values(split: Split) -> dict[str, float]:
    values: dict[str, Any] = {name: getattr(split, name) for name in (*COUNTS, *MEANS)}
    return {name: value for name, value in values.items() if value is not None}
