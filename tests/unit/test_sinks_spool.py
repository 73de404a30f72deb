"""The spool survives a killed process, a torn line and a full disk."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from triton_users.sinks.folder import ResultsError
from triton_users.sinks.spool import Spool, SpoolReader, read_spool


def test_lines_come_back_as_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    assert spool.append({"second": 0, "name": "µ"})
    assert spool.append('{"second": 1}')
    assert read_spool(spool.path) == [{"second": 0, "name": "µ"}, {"second": 1}]
    assert (spool.written, spool.lost) == (2, 0)
    spool.close()
    spool.close()


def test_an_existing_spool_is_continued(tmp_path: Path) -> None:
    for second in range(2):
        spool = Spool(tmp_path / "windows.jsonl")
        spool.append({"second": second})
        spool.close()
    assert [line["second"] for line in read_spool(tmp_path / "windows.jsonl")] == [0, 1]


def test_every_line_is_with_the_system_before_append_returns(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    program = (
        "import os, signal; from pathlib import Path; from triton_users.sinks.spool import Spool\n"
        f"spool = Spool(Path({str(path)!r}))\n"
        "for second in range(100): spool.append({'second': second})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(read_spool(path)) == 100


def test_a_reader_follows_a_growing_file_and_leaves_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    reader = SpoolReader(path)
    assert list(reader.poll()) == [{"a": 1}]
    assert reader.torn_bytes == 5
    with path.open("ab") as file:
        file.write(b'2}\n{"a":3}\n')
    assert list(reader.poll()) == [{"a": 2}, {"a": 3}]
    assert reader.torn_bytes == 0
    assert list(reader.poll()) == []


def test_lines_longer_than_a_read_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triton_users.sinks.spool._CHUNK_BYTES", 3)
    path = tmp_path / "windows.jsonl"
    path.write_text('{"a":123456}\n{"b":[1,2,3]}\n')
    assert read_spool(path) == [{"a": 123456}, {"b": [1, 2, 3]}]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_text('{"a":1}\n{"a"\n{"a":3}\n')
    with pytest.raises(ResultsError, match=r"line 2 of .*windows\.jsonl is damaged"):
        read_spool(path)
    with pytest.raises(ResultsError, match="cannot read"):
        read_spool(tmp_path / "none")


def test_a_full_disk_costs_whole_lines_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.append({"second": 0})
    real_write = os.write

    def short_then_full(fd: int, data: bytes) -> int:
        if len(data) > 4:
            return real_write(fd, data[:4])  # a nearly full disk takes a part first
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", short_then_full)
    with caplog.at_level(logging.WARNING):
        assert not spool.append({"sec": 1})
        assert not spool.append({"sec": 2})
    monkeypatch.setattr(os, "write", real_write)
    assert spool.append({"second": 3})
    assert (spool.written, spool.lost) == (2, 2)
    assert len(caplog.records) == 1
    assert "no space left on device" in caplog.text
    assert [line["second"] for line in read_spool(spool.path)] == [0, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_a_device_that_is_always_full_never_raises() -> None:
    spool = Spool(Path("/dev/full"))
    assert not spool.append({"second": 0})
    assert spool.lost == 1
    spool.close()


def test_after_close_lines_are_counted_as_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.close()
    assert not spool.append({"second": 0})
    assert spool.lost == 1


def test_a_spool_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="--results DIR"):
        Spool(tmp_path / "none" / "windows.jsonl")


def test_lines_are_plain_json(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.append({"second": 0})
    assert json.loads(spool.path.read_text()) == {"second": 0}
