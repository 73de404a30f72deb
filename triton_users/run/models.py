"""What the server says of a model, and where a user class's inputs come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triton_users.inputs import (
    ArraySource,
    FunctionSource,
    ModelSpec,
    RandomSource,
    Source,
    ZeroSource,
    model_spec,
)
from triton_users.net import Channel
from triton_users.options.settings import Settings
from triton_users.server.control import Control
from triton_users.units import NS_PER_S

ASK_NS = 10 * NS_PER_S
"""For an answer: a server that is frozen must not hold up what waits for it."""


def read_spec(channel: Channel, model: str, version: str) -> ModelSpec:
    """The model's tensors, asked of the server. Raises RpcError, InputError."""
    control = Control(channel, ASK_NS)
    return model_spec(control.metadata(model, version), control.config(model, version), version)


def source_for(user_class: Any, spec: ModelSpec, settings: Settings) -> Source:
    """The user class's own inputs, or generated ones. Raises InputError for data that do not fit."""
    inputs = user_class.inputs
    if isinstance(inputs, Mapping):
        return ArraySource(spec, inputs)
    if inputs is not None:
        # A function in a class body is reached through the class, so that it is not bound.
        return FunctionSource(spec, inputs)
    if settings.input_data == "zero":
        return ZeroSource(spec, settings.string_length)
    return RandomSource(spec, settings.string_length)
