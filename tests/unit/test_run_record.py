"""A run's record on a disk that is full for a while: a window is said to be on disk when it is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.feed_example import window_of
from triton_users.options.settings import Settings
from triton_users.run.record import Record
from triton_users.run.voice import Voice
from triton_users.stats.window import Key, Series
from triton_users.step import CLOSED, POISSON, Flow, RequestClass, Step


def test_a_window_is_acknowledged_when_its_second_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.read(SimpleNamespace(results=str(tmp_path)))
    record = Record(settings, "sr.py", "4f2a", 1, 0, Voice())
    told: list[tuple[int, int]] = []
    record.on_disk = lambda worker, seq: told.append((worker, seq))
    record.expect([0])
    record.window(window_of(0, 0))

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        record.window(window_of(0, 1))
        record.window(window_of(0, 2))
        assert told == [(0, 0)]
    record.window(window_of(0, 3))
    assert told == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert record.folder.windows.read_text().count('"kind":"window"') == 4
    record.discard("enough")


def test_seconds_and_what_was_lost_tell_which_flows_have_a_rate(tmp_path: Path) -> None:
    classes = ((RequestClass("m", 1), 1.0),)
    flows = Flow("a", "A", "m", CLOSED, None, 4, classes), Flow("b", "B", "m", POISSON, 10.0, None, classes)
    step = Step(0, "s", flows, 0, 1000, 1)
    record = Record(Settings(results=str(tmp_path)), "any.py", "run", 1, 0, Voice())
    record.begin()
    record.step(step, 1)
    record.window(window_of(0, 0))
    record.flush()
    record.diary.step_lost(step, 1000, {Key("a", classes[0][0], 0): Series(scheduled=1, lost=1)})
    spool = [json.loads(line) for line in record.folder.windows.read_text().splitlines()]
    assert {line["kind"]: line["open_loop"] for line in spool if "open_loop" in line} == {
        "window": ["b"],
        "lost": ["b"],
    }
    record.discard("no more")
