"""What is sent: tensors, request classes, and requests encoded once. No network, no clock."""

from triton_users.inputs.classes import Classes, request_classes
from triton_users.inputs.draw import class_edges, class_index
from triton_users.inputs.faults import InputError
from triton_users.inputs.generate import STRING_LENGTH, RandomSource, Source, ZeroSource
from triton_users.inputs.given import ArraySource, FunctionSource, InputFunction
from triton_users.inputs.model import ModelSpec, model_spec
from triton_users.inputs.payloads import BUDGET_BYTES, INPUT_COUNT, Body, Payloads
from triton_users.inputs.tensors import TensorSpec

__all__ = [
    "BUDGET_BYTES",
    "INPUT_COUNT",
    "STRING_LENGTH",
    "ArraySource",
    "Body",
    "Classes",
    "FunctionSource",
    "InputError",
    "InputFunction",
    "ModelSpec",
    "Payloads",
    "RandomSource",
    "Source",
    "TensorSpec",
    "ZeroSource",
    "class_edges",
    "class_index",
    "model_spec",
    "request_classes",
]
