"""Children of ours: their output, their end, their group."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.real.server_processes import members
from triton_users.process import last_lines, spawn

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
helper.wait()
"""


def test_output_ending_and_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(os.environ['WHO'], os.getcwd()); print('oh', file=sys.stderr); sys.exit(4)"
    child = spawn([sys.executable, "-c", code], env={"WHO": "child"}, log=log, cwd=tmp_path)
    assert child.wait(20)
    assert child.ending() == "exit code 4"
    assert sorted(child.last_lines(5)) == sorted([f"child {tmp_path}", "oh"])
    assert not child.alive
    child.stop()


def test_leads_a_session_of_its_own(tmp_path: Path) -> None:
    child = spawn(["sleep", "60"], log=tmp_path / "log")
    assert child.alive
    assert child.ending() is None
    assert not child.wait(0.01)
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    child.stop()
    assert child.ending() == "signal SIGTERM"


def test_stop_kills_what_does_not_listen_and_its_helpers(tmp_path: Path) -> None:
    child = spawn([sys.executable, "-c", STUBBORN], log=tmp_path / "log")
    deadline = time.monotonic() + 20
    while child.last_lines(1) != ["ready"] and time.monotonic() < deadline:
        child.wait(0.02)
    assert len(members(child.pid)) == 2
    child.stop(timeout_s=0.2)
    assert child.ending() == "signal SIGKILL"
    while members(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert members(child.pid) == []


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        spawn([str(tmp_path / "nothing")], log=tmp_path / "log")


def test_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log, 3) == []
    log.write_bytes(b"first\n" + b"x" * 70_000 + b"\nsecond to last \xff\nlast")
    assert last_lines(log, 2) == ["second to last \ufffd", "last"]
