"""Fixtures of real servers: an embedded Triton with all demo models, on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import locust  # noqa: F401  (it must patch sockets before anything imports ssl)
import pytest

from tests.fakes.channel_log import ChannelLog
from tests.real.server_caller import PlainCaller
from triton_users import demo
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton, available

pytest_plugins = ["tests.influx", "tests.influx2"]

# How long an example takes is the machine's affair: no failure.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

FIXED_TIME_NS = 5_000_000
"""The service time of the fixtures' model `fixed_time`."""


@pytest.fixture(autouse=True)
def ledger_of_channels() -> Iterator[None]:
    """Whatever a test sends by a channel comes to one end."""
    yield
    logs, ChannelLog.made[:] = ChannelLog.made[:], []
    for log in logs:
        log.assert_ledger()


@pytest.fixture(scope="session")
def usable_triton() -> None:
    """Skips, with the reason, where no Triton can run; under CI that is a failure."""
    if (why := available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


@pytest.fixture(scope="session")
def demo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All demo models; beside the repository `recording` appends to the file "record", and `fixed_time`,
    whose one instance keeps the order, to "order"."""
    root = tmp_path_factory.mktemp("models")
    parameters = {
        "fixed_time": {"service_time_ns": str(FIXED_TIME_NS), "record": str(root / "order")},
        "recording": {"record": str(root / "record")},
        "failing": {"message": 'as "ordered"'},
    }
    return demo.build(root, demo.MODELS, parameters)


def started(repository: Path, log: Path) -> EmbeddedTriton:
    """A server that is ready."""
    server = EmbeddedTriton(repository, log)
    server.start()
    try:
        server.wait_ready(lambda: Control(PlainCaller(server.url)).ready())
    except BaseException:
        server.stop()
        raise
    return server


@pytest.fixture(scope="session")
def triton(
    usable_triton: None, demo_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedTriton]:
    """The session's real Triton with all demo models. Leave it as it was: others count on it."""
    server = started(demo_repository, tmp_path_factory.mktemp("triton") / "server.log")
    yield server
    server.stop()


@pytest.fixture
def fresh_triton(usable_triton: None, tmp_path: Path) -> Iterator[EmbeddedTriton]:
    """A Triton of the test's own, with `identity` and `fixed_time` alone: to kill or stop as it likes."""
    repository = demo.build(
        tmp_path / "models",
        ["identity", "fixed_time"],
        {"fixed_time": {"service_time_ns": str(FIXED_TIME_NS)}},
    )
    server = started(repository, tmp_path / "server.log")
    yield server
    server.stop()
