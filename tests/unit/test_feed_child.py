"""What the console hears of the feed, its status file, its options and its command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from triton_users import __main__ as command
from triton_users.options.faults import OptionError
from triton_users.options.settings import Settings
from triton_users.options.table import OPTIONS
from triton_users.run.reserve import SIZE, Reserve
from triton_users.sinks.feed_status import SIZE as STATUS_SIZE
from triton_users.sinks.feed_status import FeedStatus, StatusFile
from triton_users.sinks.feed_watch import Watch
from triton_users.sinks.influx_target import InfluxTarget
from triton_users.units import NS_PER_S


def test_an_outage_is_told_once_with_since_when_and_how_much_waits() -> None:
    watch = Watch(Path("rejected.jsonl"))
    status = FeedStatus(lines=10)
    said: list[str] = []
    for second in range(60):
        if second == 5:
            status.failing("no connection", second * NS_PER_S)
        if second == 45:
            status.well()
            status.lines = 54
        said += watch.news(status, 10 + second, second * NS_PER_S)
    assert len(said) == 3, said
    assert "nothing written since" in said[0] and said[0].endswith(
        "no connection; 7 lines wait in the results folder"
    )
    assert said[1].endswith("37 lines wait in the results folder")  # half a minute later
    assert said[2] == "InfluxDB: written again after 40 s; 1 lines wait in the results folder"


def test_a_hiccup_is_not_worth_a_line() -> None:
    watch, status = Watch(Path("r")), FeedStatus()
    status.failing("busy", 0)
    assert list(watch.news(status, 1, NS_PER_S)) == []
    status.well()
    assert list(watch.news(status, 1, 2 * NS_PER_S)) == []


def test_refused_points_are_named_with_where_they_are_kept() -> None:
    watch = Watch(Path("results/x/rejected.jsonl"))
    status = FeedStatus(rejected=3, rejected_reason="field type conflict")
    (said,) = watch.news(status, 1, 0)
    assert "3 points refused for good: field type conflict; kept in results/x/rejected.jsonl" in said
    assert list(watch.news(status, 1, 0)) == []


def test_lines_that_cannot_be_read_and_points_kept_nowhere_are_told() -> None:
    watch = Watch(Path("rejected.jsonl"))
    status = FeedStatus(unreadable=2)
    assert list(watch.given_up(status)) == [
        "InfluxDB: 2 lines of the spool cannot be read; kept in rejected.jsonl"
    ]
    status.rejected, status.rejected_reason, status.unreadable, status.unkept = 5, "too old", 3, 4
    (said,) = watch.given_up(status)
    assert said == (
        "InfluxDB: 5 points refused for good: too old; 1 lines of the spool cannot be read; "
        "4 of them could not be kept in rejected.jsonl: is the disk full?"
    )
    assert list(watch.given_up(status)) == []
    assert status.missing == "5 refused points and 3 unreadable lines"


def test_the_status_file_never_grows(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "feed.status")
    assert file.read() is None
    file.write(FeedStatus())  # nothing to overwrite: nothing happens
    file.create()
    status = FeedStatus(lines=2**40, points=2**40, rejected=2**40, rejected_reason="µ" * 5000)
    status.failing("µ" * 5000, 2**62)
    file.write(status)
    assert file.path.stat().st_size == STATUS_SIZE
    found = file.read()
    assert found is not None and found.lines == 2**40 and found.reason == status.reason
    file.remove()
    file.remove()


def test_the_reserve_takes_room_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / ".reserve")
    assert (tmp_path / ".reserve").stat().st_blocks * 512 >= SIZE
    reserve.free()
    reserve.free()
    assert not list(tmp_path.iterdir())
    Reserve(tmp_path / "no-such-folder" / ".reserve").free()


def test_the_replay_command_can_be_typed_and_holds_no_token() -> None:
    target = InfluxTarget("http://h:8086", "a b", "us", "/run/token", 5 * NS_PER_S)
    assert target.replay_command("results/x") == (
        "python -m triton_users replay results/x --influx-url http://h:8086 --influx-bucket 'a b' "
        "--influx-org us --influx-token-file /run/token --influx-drain 5s"
    )
    assert target.token.__doc__ and "influx_token" not in {option.dest for option in OPTIONS}


def options(**given: str) -> SimpleNamespace:
    return SimpleNamespace(**given)


def test_options_of_the_database() -> None:
    settings = Settings.read(options(influx_url="http://h:8086/", influx_bucket="load", influx_drain="5s"))
    assert (settings.influx_url, settings.influx_bucket) == ("http://h:8086", "load")
    assert settings.influx_drain_ns == 5 * NS_PER_S


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"influx_url": "http://h:8086"}, "--influx-bucket"),
        ({"influx_bucket": "load"}, "--influx-url"),
        ({"influx_url": "http://me:s3cret@h", "influx_bucket": "load"}, "must not hold a user"),
        ({"influx_url": "h:8086", "influx_bucket": "load"}, "no address"),
        ({"influx_url": "http://h?token=s3cret", "influx_bucket": "load"}, "must not hold a query"),
        ({"influx_url": "http://h:port", "influx_bucket": "load"}, "no address"),
    ],
)
def test_faults_in_them_are_told_without_their_secrets(given: dict[str, str], fault: str) -> None:
    with pytest.raises(OptionError) as raised:
        Settings.read(options(**given))
    assert fault in str(raised.value) and "s3cret" not in str(raised.value)


def test_the_command_names_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    assert command.main([]) == 2
    assert command.main(["nonsense"]) == 2
    said = capsys.readouterr()
    assert "replay" in said.out and "no command 'nonsense'" in said.err


def test_a_folder_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = ["--influx-url", "http://127.0.0.1:9", "--influx-bucket", "load"]
    assert command.main(["replay", str(tmp_path), *target]) == 2
    assert "is no results folder" in capsys.readouterr().err
