"""From user classes to a plan: what several classes of one locustfile may say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from triton_users.run.errors import RunError
from triton_users.run.prepare import class_defaults


def user_class(host: str | None = None, **options: Any) -> Any:
    return SimpleNamespace(options=options, host=host)


def test_what_classes_say_is_put_together() -> None:
    one, two = user_class("gpu1", batch_size="1,8"), user_class(batch_size="1,8", warm_up="3s")
    assert class_defaults({"One": one, "Two": two}) == {
        "host": "gpu1",
        "batch_size": "1,8",
        "warm_up": "3s",
    }


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (user_class("gpu1:8001"), user_class("gpu2:8001"), "One and Two give different values for host"),
        (user_class(batch_size=1), user_class(batch_size=8), "different values for batch_size: 1 and 8"),
    ],
)
def test_classes_that_contradict_each_other(one: Any, two: Any, words: str) -> None:
    """The last one's word would count, silently."""
    with pytest.raises(RunError, match=words):
        class_defaults({"One": one, "Two": two})
