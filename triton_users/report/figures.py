"""Histograms, series and the server's split as the figures that a summary holds."""

from __future__ import annotations

from typing import Any

from triton_users.metrics import PERCENTILES
from triton_users.server.statistics import Split
from triton_users.stats.histogram import mean, percentile, stddev, thin_percentiles
from triton_users.stats.window import Hist


def latency_figures(hist: Hist | None) -> dict[str, Any]:
    """Count, mean, deviation, percentiles and extremes (ns), None without any value; and which percentiles
    are thin."""
    if hist is None or not hist.total:
        return {"count": 0, **dict.fromkeys(("min", "mean", "stddev", *PERCENTILES, "max")), "thin": []}
    return {
        "count": hist.total,
        "min": hist.min,
        "mean": round(mean(hist)),
        "stddev": round(stddev(hist)),
        **{name: percentile(hist, q) for name, q in PERCENTILES.items()},
        "max": hist.max,
        "thin": thin_percentiles(hist.total),
    }


def server_figures(split: Split, mean_latency_ns: float | None) -> dict[str, Any]:
    """One model's split. ``network_client_ns`` is what the server does not account for of the mean latency
    at the client: the network, the client, and what lies between Triton's own stopwatches."""
    return {
        "success_count": split.success_count,
        "inference_count": split.inference_count,
        "execution_count": split.execution_count,
        "mean_executed_batch": split.mean_executed_batch,
        "cache_hits": split.cache_hits,
        "queue_ns": split.queue_ns,
        "compute_input_ns": split.compute_input_ns,
        "compute_infer_ns": split.compute_infer_ns,
        "compute_output_ns": split.compute_output_ns,
        "network_client_ns": _remainder_ns(split, mean_latency_ns),
        "composing": {name: server_figures(part, None) for name, part in split.composing.items()},
    }


def _remainder_ns(split: Split, mean_latency_ns: float | None) -> int | None:
    """None where it cannot be said: nothing succeeded, or the server says more than the client has seen."""
    if mean_latency_ns is None or not split.success_count:
        return None
    # Each duration is a mean over its own requests: those from the cache have no compute.
    executed = (split.success_count - split.cache_hits) / split.success_count
    computing = (split.compute_input_ns, split.compute_infer_ns, split.compute_output_ns)
    inside = (
        (split.queue_ns or 0)
        + executed * sum(part or 0 for part in computing)
        + (split.cache_hit_ns or 0) * split.cache_hits / split.success_count
        + (split.cache_miss_ns or 0) * split.cache_misses / split.success_count
    )
    remainder = round(mean_latency_ns - inside)
    return remainder if remainder >= 0 else None
