"""What classes, loads and statuses are called, in every table, file and page."""

from __future__ import annotations

from triton_users import units
from triton_users.step import RequestClass

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def class_name(cls: RequestClass) -> str:
    """``espcn b8 [1x224x224]``; with several inputs each by its name: ``bert b1 [ids:384 mask:384]``."""
    shapes = shapes_name(cls.input_shapes)
    return f"{cls.model} b{cls.batch_size}" + (f" [{shapes}]" if shapes else "")


def shapes_name(shapes: Shapes) -> str:
    """``1x224x224``, or ``ids:384 mask:384``; empty if unknown. A single number is a shape of one element."""
    if len(shapes) == 1:
        return _dimensions(shapes[0][1])
    return " ".join(f"{name}:{_dimensions(shape)}" for name, shape in shapes)


def load_name(concurrency: int | None, request_rate: float | None, distribution: str | None) -> str:
    """``concurrency 4`` or ``30.9/s poisson``."""
    if request_rate is None:
        return f"concurrency {concurrency}"
    return f"{units.format_rate(request_rate)} {distribution or ''}".strip()


def _dimensions(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"
