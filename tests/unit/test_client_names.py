"""Whoever knows tritonclient.grpc finds every name and every argument here."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
import tritonclient.grpc as theirs

import triton_users.client as ours

CLASSES = ["InferenceServerClient", "InferInput", "InferRequestedOutput", "InferResult"]

EXTRA_ARGUMENTS = {("InferenceServerClient", "__init__"): {"channel"}}
"""Accepted differences: what we add. ``channel`` is keyword-only."""


def test_every_public_name_is_here() -> None:
    modules = {"grpc", "np", "struct", "warnings", "version", "ml_dtypes", "auth", "aio"}
    names = {
        name
        for name, value in vars(theirs).items()
        if not name.startswith("_") and not (isinstance(value, ModuleType) and name in modules)
    }
    assert names - set(dir(ours)) == set()
    assert set(theirs.__all__) <= set(ours.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_takes_the_same_arguments(name: str) -> None:
    their_class, our_class = getattr(theirs, name), getattr(ours, name)
    methods = {m for m in dir(their_class) if not m.startswith("_") and callable(getattr(their_class, m))}
    assert methods <= set(dir(our_class))
    for method in (*sorted(methods), "__init__"):
        want = inspect.signature(getattr(their_class, method)).parameters
        have = dict(inspect.signature(getattr(our_class, method)).parameters)
        for extra in EXTRA_ARGUMENTS.get((name, method), ()):
            assert have.pop(extra).kind is inspect.Parameter.KEYWORD_ONLY
        assert [(p.name, p.kind, p.default) for p in have.values()] == [
            (p.name, p.kind, p.default) for p in want.values()
        ], method


def test_instances_pass_for_theirs() -> None:
    assert isinstance(ours.InferInput("A", [1], "FP32"), theirs.InferInput)
    assert isinstance(ours.InferRequestedOutput("A"), theirs.InferRequestedOutput)
    assert isinstance(ours.InferResult(b""), theirs.InferResult)
    assert ours.InferenceServerException is theirs.InferenceServerException
