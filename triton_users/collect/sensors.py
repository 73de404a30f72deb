"""Which sensors an agent has."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from triton_users.collect.sampler import Scheduled
from triton_users.units import NS_PER_S

HOST = (
    "cpu:Cpu",
    "host:Memory",
    "host:Network",
    "host:Disk",
    "powercap:Powercap",
    "nvml:Nvml",
    "jetson:Jetson",
)
"""Module and class; a module is loaded only where its sensor is wanted."""

SERVER_RETRY_MOST = 5
"""Intervals: a server that was away is watched again soon, and its restart known when it was."""


@dataclass(frozen=True, slots=True)
class TritonAt:
    """A Triton to watch: gRPC's HOST:PORT for its statistics, its metrics page's URL; each may be None."""

    url: str | None = None
    models: Sequence[str] = ()
    metrics_url: str | None = None
    metrics_guessed: bool = False
    metrics_interval_ns: int = NS_PER_S


def host_sensors() -> list[Scheduled]:
    """Every sensor of a host; which of them work here shows when they open."""
    found = []
    for place in HOST:
        module, name = place.split(":")
        found.append(Scheduled(getattr(importlib.import_module(f"triton_users.collect.{module}"), name)()))
    return found


def triton_sensors(triton: TritonAt) -> list[Scheduled]:
    """What a Triton says of itself, as far as it is known where."""
    found = []
    if triton.url is not None:
        module = importlib.import_module("triton_users.collect.triton_statistics")
        sensor = module.TritonStatistics(triton.url, triton.models)
        found.append(Scheduled(sensor, retry_most=SERVER_RETRY_MOST))
    if triton.metrics_url is not None:
        module = importlib.import_module("triton_users.collect.triton_metrics")
        sensor = module.TritonMetrics(triton.metrics_url, guessed=triton.metrics_guessed)
        found.append(Scheduled(sensor, triton.metrics_interval_ns, SERVER_RETRY_MOST))
    return found
