"""What a model takes and gives, read from Triton's metadata and configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from triton_users.inputs.faults import InputError
from triton_users.inputs.tensors import NUMPY_DTYPES, TensorSpec


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model's tensors, without the batch dimension. ``max_batch_size`` is 0 for a model without batching;
    ``version`` is the one asked for, or "" to leave the choice to the server."""

    name: str
    version: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batching(self) -> bool:
        return self.max_batch_size > 0

    def input(self, name: str) -> TensorSpec | None:
        return next((tensor for tensor in self.inputs if tensor.name == name), None)

    @property
    def expected(self) -> str:
        """One line that says what inputs there are."""
        note = ", shapes without the batch dimension" if self.batching else ""
        return f"Model {self.name} takes{note}: " + "; ".join(map(str, self.inputs))

    def full_shape(self, shape: tuple[int, ...], batch_size: int) -> tuple[int, ...]:
        """The shape as it is sent: with the batch dimension if the model has one."""
        return (batch_size, *shape) if self.batching else shape


def model_spec(metadata: Any, config: Any, version: str = "") -> ModelSpec:
    """From a ModelMetadataResponse and a ModelConfig (or ModelConfigResponse) of ``tritonclient.grpc``.

    Raises InputError if a tensor has a type that is not known here.
    """
    if hasattr(config, "config"):
        config = config.config
    batching = config.max_batch_size > 0
    optional = frozenset(entry.name for entry in config.input if entry.optional)
    spec = ModelSpec(
        name=metadata.name,
        version=version,
        max_batch_size=config.max_batch_size,
        inputs=tuple(_tensors(metadata.inputs, batching, optional)),
        outputs=tuple(_tensors(metadata.outputs, batching, frozenset())),
    )
    unknown = [tensor for tensor in (*spec.inputs, *spec.outputs) if tensor.dtype not in NUMPY_DTYPES]
    if unknown:
        raise InputError(
            [f"{spec.name}: {tensor.name} has the unknown type {tensor.dtype}" for tensor in unknown]
        )
    return spec


def _tensors(entries: Iterable[Any], batching: bool, optional: frozenset[str]) -> Iterable[TensorSpec]:
    for entry in entries:
        shape = tuple(entry.shape)[1:] if batching else tuple(entry.shape)
        yield TensorSpec(entry.name, entry.datatype, shape, entry.name in optional)
