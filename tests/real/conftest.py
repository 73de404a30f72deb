"""What tests of one process against a real server have in common."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest


@pytest.fixture
def bounded() -> Iterator[None]:
    """A test that hangs fails."""
    with gevent.Timeout(40, AssertionError("the test hangs")):
        yield
