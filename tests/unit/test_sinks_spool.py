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
from triton_users.sinks.spool import WAITING_BYTES, Spool, SpoolReader, read_spool


def test_lines_come_back_as_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.append({"second": 0, "name": "µ"})
    spool.append('{"second": 1}')
    assert read_spool(spool.path) == [{"second": 0, "name": "µ"}, {"second": 1}]
    assert (spool.written, spool.lost) == (2, 0)
    spool.close()
    spool.close()


def test_a_spool_that_somebody_removes_is_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.append({"second": 0})
    spool.path.unlink()
    spool.append({"second": 1})
    spool.close()
    assert (spool.written, spool.lost) == (0, 2)


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


class SmallDisk:
    """os.write as it is on a disk with ``room`` bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(file, data[: self.room])  # a nearly full disk takes a part first
        self.room -= written
        return written


def seconds(spool: Spool) -> list[int]:
    return [line["second"] for line in read_spool(spool.path)]


def test_lines_wait_for_room_on_a_full_disk_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    settled: list[int] = []
    disk = SmallDisk(monkeypatch, room=20)
    with caplog.at_level(logging.WARNING):
        for second in range(3):
            spool.append({"second": second}, lambda second=second: settled.append(second))
    assert seconds(spool) == settled == [0]
    assert len(caplog.records) == 1 and "no space left on device" in caplog.text
    disk.room = 10_000
    spool.append({"second": 3}, lambda: settled.append(3))
    assert seconds(spool) == settled == [0, 1, 2, 3]
    assert (spool.written, spool.lost) == (4, 0)


def test_what_waits_is_bounded_and_what_is_beyond_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    disk = SmallDisk(monkeypatch, room=0)
    settled: list[int] = []
    for second in range(200):
        line = {"second": second, "text": "x" * 10_000}
        spool.append(line, lambda second=second: settled.append(second))
    kept = WAITING_BYTES // 10_030
    assert spool.lost == 200 - kept and settled == list(range(kept, 200))
    disk.room = 1 << 30
    spool.append({"second": 200})
    assert seconds(spool) == [*range(kept), 200]


def test_room_at_the_very_end_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    disk = SmallDisk(monkeypatch, room=0)
    spool.append('{"second": 0}\n{"second": 1}')
    spool.append({"second": 2})
    disk.room = 30
    spool.close()
    assert seconds(spool) == [0, 1]
    assert (spool.written, spool.lost) == (2, 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_a_device_that_is_always_full_never_raises() -> None:
    spool = Spool(Path("/dev/full"))
    spool.append({"second": 0})
    spool.close()
    assert (spool.written, spool.lost) == (0, 1)


def test_after_close_lines_are_counted_as_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.close()
    spool.append({"second": 0})
    assert (spool.written, spool.lost) == (0, 1)


def test_a_spool_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="--results DIR"):
        Spool(tmp_path / "none" / "windows.jsonl")


def test_lines_are_plain_json(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "windows.jsonl")
    spool.append({"second": 0})
    assert json.loads(spool.path.read_text()) == {"second": 0}
