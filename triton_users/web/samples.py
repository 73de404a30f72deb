"""What the sensors said last, of what a reader of the tab asks for: the model, the GPUs, the processors.

Fed with an agent's lines on the loop that may carry the load too: of their lines only these are read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from triton_users import units
from triton_users.collect.sensor import SAMPLE
from triton_users.report.numbers import MISSING
from triton_users.units import NS_PER_S

Values = Mapping[str, float]
Figure = tuple[str, str]
Place = tuple[str, str, str]
"""Source, host, and what the sensor calls the thing."""

FRESH_NS = 5 * NS_PER_S
"""So long before the newest a sample is still the last word: sensors that fail leave no figure."""
LABEL = {"triton_statistics": "model", "gpu": "gpu", "jetson": "gpu", "cpu": "cpu"}
"""What tells the things of a source apart."""
HEADS = tuple(f'{{"kind":"{SAMPLE}","source":"{source}"' for source in LABEL)
COMPUTE = ("compute_input_ns", "compute_infer_ns", "compute_output_ns")


@dataclass(slots=True)
class Samples:
    """The newest of each source, host and thing."""

    _newest: dict[Place, tuple[int, Values]] = field(default_factory=dict)

    def add(self, lines: str) -> None:
        """Lines of an agent, as they stand in the spool."""
        for text in lines.split("\n"):
            if text.startswith(HEADS):
                line = json.loads(text)
                source = line["source"]
                thing = line["labels"].get(LABEL[source])
                if thing is not None and (source != "cpu" or thing == "all"):
                    self._newest[source, line["host"], thing] = line["at_ns"], line["values"]

    def figures(self) -> list[Figure]:
        """Title and text of each, the model first."""
        newest = max((at_ns for at_ns, _ in self._newest.values()), default=0)
        order = list(LABEL)
        found: list[Figure] = []
        for place in sorted(self._newest, key=lambda one: (order.index(one[0]), *one)):
            at_ns, values = self._newest[place]
            if newest - at_ns <= FRESH_NS:
                found += _SHOWN[place[0]](place, values)
        return found


def _model(place: Place, values: Values) -> Iterator[Figure]:
    _, _, model = place
    compute = [values[name] for name in COMPUTE if name in values]
    yield f"Queue, {model}", _mean(values.get("queue_ns"))
    yield f"Compute, {model}", _mean(sum(compute) if compute else None)


def _gpu(place: Place, values: Values) -> Iterator[Figure]:
    _, host, gpu = place
    if (load := values.get("gpu_utilization_ratio")) is not None:
        yield f"GPU {gpu} of {host}", units.format_percent(load)
    if (watts := values.get("gpu_power_watts")) is not None:
        yield f"Power of GPU {gpu} of {host}", f"{watts:.0f} W"


def _cpu(place: Place, values: Values) -> Iterator[Figure]:
    idle = values.get("cpu_idle_ratio", 0.0) + values.get("cpu_iowait_ratio", 0.0)
    yield f"CPU of {place[1]}, all processors", units.format_percent(max(1.0 - idle, 0.0))


_SHOWN: dict[str, Callable[[Place, Values], Iterator[Figure]]] = {
    "triton_statistics": _model,
    "gpu": _gpu,
    "jetson": _gpu,
    "cpu": _cpu,
}


def _mean(ns: float | None) -> str:
    return MISSING if ns is None else units.format_duration(ns)
