"""Requests encoded once, before the load begins, and the draw of which one to send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from triton_users.inputs.classes import Classes
from triton_users.inputs.draw import class_edges, class_index
from triton_users.inputs.faults import InputError, check
from triton_users.inputs.fields import raw_prefix
from triton_users.inputs.generate import Arrays, Source
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.tensors import encode
from triton_users.names import class_name
from triton_users.step import RequestClass
from triton_users.units import format_bytes

INPUT_COUNT = 64
"""Default number of distinct inputs of a class."""

BUDGET_BYTES = 256 * 1024 * 1024
"""Default limit of all encoded requests of a flow together."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One request: a serialised ModelInferRequest, without gRPC's own prefix."""

    message: bytes
    cls: RequestClass
    class_index: int


@dataclass(frozen=True, slots=True, eq=False)
class Payloads:
    """All requests that a flow may send. The bodies of class i are ``bodies[first[i]:first[i + 1]]``.

    ``edges`` f8[classes + 1] are the cumulative weights from 0 to 1; ``first`` intp[classes + 1]. ``notes``
    tell of each class that the budget left fewer inputs than asked for.
    """

    classes: Classes
    bodies: list[Body]
    edges: npt.NDArray[np.float64]
    first: npt.NDArray[np.intp]
    notes: tuple[str, ...] = ()

    @classmethod
    def build(
        cls,
        spec: ModelSpec,
        classes: Classes,
        source: Source,
        count: int = INPUT_COUNT,
        seed: int = 0,
        *,
        budget_bytes: int = BUDGET_BYTES,
        model_version: str = "",
        outputs: Sequence[str] = (),
    ) -> Payloads:
        """Up to ``count`` distinct inputs of each class within ``budget_bytes``, at least one of each.

        The classes take turns, so that the budget is shared out evenly; it is exceeded only if one input of
        each class alone does that. Input j of class i depends on (seed, i, j) only. ``outputs`` are the
        names of the outputs to ask for; none asks for all. ``model_version`` "" is the spec's version.
        Raises InputError for unknown outputs, and what ``source`` raises.
        """
        if not classes or count < 1 or seed < 0:
            raise InputError(
                ["payloads need at least one class, a count of at least 1 and a seed of at least 0"]
            )
        check(_output_faults(spec, outputs), "It gives: " + "; ".join(map(str, spec.outputs)))
        version = model_version or spec.version
        made = [
            _Maker(spec, c, source, _front(spec, c, version, outputs), (seed, i))
            for i, (c, _) in enumerate(classes)
        ]
        left = budget_bytes
        for _ in range(count):
            for maker in made:
                left -= maker.make(left)
        first = np.cumsum([0, *(len(maker.bodies) for maker in made)], dtype=np.intp)
        notes = tuple(
            f"{class_name(maker.cls)}: {len(maker.bodies)} distinct inputs instead of {maker.wanted(count)},"
            f" for all requests of a flow may take {format_bytes(budget_bytes)}"
            for maker in made
            if len(maker.bodies) < maker.wanted(count)
        )
        bodies = [body for maker in made for body in maker.bodies]
        return cls(classes, bodies, class_edges(classes), first, notes)

    def draw(self, picks: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """Indexes into ``bodies`` for ``picks`` f8 in [0, 1): a pick's place among the weights decides the
        class, and its place within that class's share decides the input."""
        index = class_index(self.edges, picks)
        low = self.edges[index]
        counts = self.first[index + 1] - self.first[index]
        rest = (picks - low) / (self.edges[index + 1] - low)
        # Rounding may take the last picks of a share to 1.
        within = np.minimum((rest * counts).astype(np.intp), counts - 1)
        drawn: npt.NDArray[np.intp] = self.first[index] + within
        return drawn

    @property
    def total_bytes(self) -> int:
        return sum(len(body.message) for body in self.bodies)

    def counts(self) -> dict[RequestClass, int]:
        """How many distinct inputs each class got."""
        return {c: int(n) for (c, _), n in zip(self.classes, np.diff(self.first), strict=True)}


class _Maker:
    """Makes the bodies of one class, one at a time, until the budget, or the source, has no more."""

    def __init__(
        self, spec: ModelSpec, cls: RequestClass, source: Source, front: bytes, seed: tuple[int, int]
    ) -> None:
        self.bodies: list[Body] = []
        self._spec = spec
        self.cls = cls
        self._source = source
        self._front = front
        self._seed = seed  # the run's, and the class's index
        self._distinct = source.distinct(cls)
        self._full = False
        self._largest_bytes = 0

    def wanted(self, count: int) -> int:
        """How many inputs there would be without a budget."""
        return count if self._distinct is None else min(count, self._distinct)

    def make(self, budget_bytes: int) -> int:
        """Makes one more body if it fits. Returns its size, 0 if none was made."""
        index = len(self.bodies)
        full = self._full or self._largest_bytes > budget_bytes
        if index and (full or (self._distinct is not None and index >= self._distinct)):
            return 0
        # The generator is named, and not numpy's default, which may change from one version to the next.
        rng = np.random.Generator(np.random.PCG64([*self._seed, index]))
        message = _message(self._front, self._spec, self._source(rng, self.cls, index))
        self._largest_bytes = max(self._largest_bytes, len(message))
        if index and len(message) > budget_bytes:
            self._full = True
            return 0
        self.bodies.append(Body(message, self.cls, self._seed[1]))
        return len(message)


def _front(spec: ModelSpec, cls: RequestClass, version: str, outputs: Sequence[str]) -> bytes:
    """All fields but the tensors themselves: the same for every request of a class."""
    request = service_pb2.ModelInferRequest(model_name=spec.name, model_version=version)
    shapes = dict(cls.input_shapes)
    for tensor in spec.inputs:
        if tensor.name in shapes:
            shape = spec.full_shape(shapes[tensor.name], cls.batch_size)
            request.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=shape)
    for name in outputs:
        request.outputs.add(name=name)
    front: bytes = request.SerializeToString()
    return front


def _message(front: bytes, spec: ModelSpec, arrays: Arrays) -> bytes:
    """The tensors behind the front, in the spec's order: one copy each, by the join."""
    parts: list[bytes | memoryview] = [front]
    for tensor in spec.inputs:
        if tensor.name in arrays:
            raw = encode(arrays[tensor.name], tensor.dtype)
            parts.append(raw_prefix(len(raw)))
            parts.append(raw)
    return b"".join(parts)


def _output_faults(spec: ModelSpec, outputs: Sequence[str]) -> list[str]:
    known = {tensor.name for tensor in spec.outputs}
    return [f"{name}: {spec.name} has no such output" for name in outputs if name not in known]
