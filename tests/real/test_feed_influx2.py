"""The feed and the replay against a real InfluxDB 2, where one has been built (tests/influx2.py)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.feed_example import results_folder
from tests.influx import Influx, started
from tests.influx2 import Influx2
from tests.real.locust_process import LocustProcess, finish
from tests.real.replay import refuses_another_type_alone, replay, writes_all_once
from tests.real.test_feed_run import same_as_summary, written_once
from triton_users.clock import wall_ns
from triton_users.server.embedded import EmbeddedTriton
from triton_users.sinks.folder import ResultsFolder
from triton_users.units import NS_PER_S

pytestmark = pytest.mark.slow


@pytest.fixture
def influx2(influxd2: Path, tmp_path: Path) -> Iterator[Influx]:
    found = started(influxd2, tmp_path / "influxdb2", Influx2)
    yield found
    found.kill()


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    return results_folder(tmp_path, zero_wall_ns=wall_ns() - 60 * NS_PER_S)


def test_a_replay_writes_all_once_and_again_changes_nothing(influx2: Influx, folder: ResultsFolder) -> None:
    writes_all_once(influx2, folder.path)


def test_a_run_is_there_as_its_summary_has_it(
    influx2: Influx, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    plan = ("-m", "identity_16", "--concurrency-range", "2", "--request-rate-range", "100", "-b", "1")
    with LocustProcess(
        tmp_path / "run", "-H", triton.url, *plan, "--warm-up", "1s", "-p", "2s", *influx2.arguments
    ) as run:
        finish(run)
    assert "InfluxDB: all is written" in run.output
    same_as_summary(influx2, run)
    written_once(influx2, run)


def test_refusals_are_told_as_they_are_with_1_8(
    influx2: Influx, folder: ResultsFolder, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wr0ng-s3cret")
    target = influx2.target(token_file=str(wrong))
    assert "401, the token is wrong or missing" in replay(folder.path, *target.arguments(), code=1)
    said = replay(folder.path, *influx2.target("nowhere").arguments(), code=1)
    assert "there is no such bucket" in said
    elsewhere = replay(folder.path, *influx2.target(org="elsewhere").arguments(), code=1)
    assert 'organization name "elsewhere" not found: give' in elsewhere
    refuses_another_type_alone(influx2, folder.path)


def test_the_organisation_may_be_left_out(influx2: Influx, folder: ResultsFolder) -> None:
    replay(folder.path, *influx2.target(org="").arguments())
    assert influx2.everything()
