"""Sources: the user classes of a run, and how they share a step's users or rate by weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from triton_users.options.settings import Settings
from triton_users.options.values import Shapes
from triton_users.step import CLOSED, Flow, RequestClass

Batches = tuple[tuple[int, float], ...]
"""(batch size, weight)."""


@dataclass(frozen=True, slots=True)
class Source:
    """One user class, before its flow has a process, users or a rate.

    ``shapes`` are (input shapes without the batch dimension, weight). ``batches`` is the class's own mix
    of batch sizes; empty: the plan's. ``tasks``: the class sends what its own tasks say.
    """

    name: str
    user_class: str
    model: str
    weight: float = 1.0
    shapes: tuple[tuple[Shapes, float], ...] = (((), 1.0),)
    batches: Batches = ()
    tasks: bool = False

    @property
    def follows_plan(self) -> bool:
        """Whether the plan decides its batch size."""
        return not self.tasks and not self.batches

    def classes(self, batches: Batches) -> tuple[tuple[RequestClass, float], ...]:
        """Every batch size with every shape; the weights multiply."""
        if self.tasks:
            return ()
        return tuple(
            (RequestClass(self.model, size, shapes), size_weight * shape_weight)
            for size, size_weight in self.batches or batches
            for shapes, shape_weight in self.shapes
        )


def shapes_of(settings: Settings, fixed: Shapes = ()) -> tuple[tuple[Shapes, float], ...]:
    """The shapes that the options ask for, over the ``fixed`` ones of the model's metadata."""
    mix = settings.shape_mix or (((), 1.0),)
    base = dict(fixed) | dict(settings.shapes)
    return tuple((tuple(sorted((base | dict(shapes)).items())), weight) for shapes, weight in mix)


def split_users(users: int, weights: Sequence[float]) -> list[int]:
    """``users`` by ``weights``, to the nearest whole user; the parts always add up to ``users``.

    Largest remainder; of equal remainders the first wins, so that the split is the same everywhere.
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    parts = [int(users * weight / total) for weight in exact]
    rest = [users * weight / total - part for weight, part in zip(exact, parts, strict=True)]
    for i in sorted(range(len(parts)), key=lambda i: (-rest[i], i))[: users - sum(parts)]:
        parts[i] += 1
    return parts


def closed_flows(sources: Sequence[Source], batches: Batches, users: int) -> tuple[Flow, ...]:
    """Flows that keep ``users`` requests in flight together; a source without a user has no flow."""
    parts = split_users(users, [source.weight for source in sources])
    return tuple(
        Flow(
            name=source.name,
            user_class=source.user_class,
            model=source.model,
            process=CLOSED,
            rate=None,
            users=part,
            classes=source.classes(batches),
        )
        for source, part in zip(sources, parts, strict=True)
        if part
    )


def open_flows(sources: Sequence[Source], batches: Batches, rate: float, process: str) -> tuple[Flow, ...]:
    """Flows that offer ``rate`` requests per second together, whatever the answers."""
    total = sum(source.weight for source in sources)
    return tuple(
        Flow(
            name=source.name,
            user_class=source.user_class,
            model=source.model,
            process=process,
            rate=rate * source.weight / total,
            users=None,
            classes=source.classes(batches),
        )
        for source in sources
    )
