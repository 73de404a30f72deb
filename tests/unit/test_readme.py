"""README.md shows locustfiles that work, as short as it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triton_users import TritonUser
from triton_users.demo import catalogue
from triton_users.options import Settings

README = Path(__file__).parents[2] / "README.md"
DECLARATIVE, TASKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def user_class(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, str(README), "exec"), names)
    return next(
        v for v in names.values() if isinstance(v, type) and v is not TritonUser and issubclass(v, TritonUser)
    )


def test_a_declarative_user_takes_at_most_ten_lines() -> None:
    assert len(DECLARATIVE.strip().splitlines()) <= 10


def test_the_declarative_user_is_one() -> None:
    user = user_class(DECLARATIVE)
    assert not user.has_tasks()
    assert user.inputs(np.random.default_rng(1), 3)["input"].shape == (3, 1, 224, 224)
    assert user.model in catalogue.MODELS


def test_the_user_with_tasks_is_one() -> None:
    assert user_class(TASKS).has_tasks()


@pytest.mark.parametrize("source", [DECLARATIVE, TASKS])
def test_its_options_are_options(source: str) -> None:
    class Nothing:
        def __getattr__(self, name: str) -> None:
            return None

    Settings.read(Nothing(), user_class(source).options)
