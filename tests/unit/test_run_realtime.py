"""How soon the load runs when it wakes up: what the kernel was asked for, read back from it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import ctypes, os, subprocess, sys
from triton_users.run.realtime import SLICE_NS, _SchedAttr, Realtime

def mine():
    found = _SchedAttr()
    call = {"x86_64": 315, "aarch64": 275}[os.uname().machine]  # sched_getattr
    assert ctypes.CDLL(None).syscall(call, 0, ctypes.byref(found), ctypes.sizeof(found), 0) == 0
    return found

if len(sys.argv) > 1:  # the child
    print(mine().runtime == SLICE_NS)
else:
    before = mine()
    realtime = Realtime(wanted=False)
    after = mine()
    child = subprocess.run([sys.executable, __file__, "child"], capture_output=True, text=True).stdout.strip()
    print(after.runtime == SLICE_NS, after.nice == before.nice, after.policy == os.SCHED_OTHER, child)
"""


def kernel() -> tuple[int, int]:
    major, minor = platform.release().split(".")[:2]
    return int(major), int(minor)


@pytest.mark.skipif(kernel() < (6, 12), reason="Linux grants slices from 6.12 on")
def test_the_load_asks_for_short_slices_and_its_children_do_not_inherit_them(tmp_path: Path) -> None:
    script = tmp_path / "ask.py"
    script.write_text(ASK)
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert found == ["True", "True", "True", "False"]
