"""How soon the load runs when it wakes up: what the kernel was asked for, read back from it."""

from __future__ import annotations

import os
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


POLICIES = """
import os, resource, subprocess, sys
from triton_users.run.realtime import Realtime

if sys.argv[1] == "refused":
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if os.getuid() == 0:
        os.setuid(65534)  # and with that go root's capabilities

def child():
    ask = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()

def mine():
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    return policy, os.sched_getparam(0).sched_priority

realtime = Realtime(wanted=True)
print("before", *mine())
realtime.on()
print("load", *mine())
if sys.argv[1] == "allowed":
    print("child", child())
realtime.off()
print("after", *mine())
print("notes", *realtime.notes())
"""
REALTIME = f"{os.SCHED_FIFO} 10"
ORDINARY = f"{os.SCHED_OTHER} 0"


def policies(case: str) -> dict[str, str]:
    """What the kernel says, line by line, of a process that wants real-time priority."""
    run = subprocess.run([sys.executable, "-c", POLICIES, case], capture_output=True, text=True, check=True)
    return {key: rest for key, _, rest in (line.partition(" ") for line in run.stdout.splitlines())}


def refusal() -> str:
    """Why a process of ours may not have real-time priority; empty where it may."""
    ask = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))"
    run = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    return run.stderr.strip().rpartition("\n")[2]


@pytest.mark.skipif(bool(refusal()), reason=f"real-time priority is not allowed here: {refusal()}")
def test_realtime_is_for_the_load_alone_and_not_for_its_children() -> None:
    assert policies("allowed") == {
        "before": ORDINARY,
        "load": REALTIME,
        "child": str(os.SCHED_OTHER),
        "after": ORDINARY,
        "notes": "",
    }


def test_realtime_that_is_not_allowed_is_told_and_the_load_goes_on() -> None:
    found = policies("refused")
    assert (found["before"], found["load"], found["after"]) == (ORDINARY, ORDINARY, ORDINARY)
    assert found["notes"] == (
        "--realtime is not allowed here ([Errno 1] Operation not permitted); go on with ordinary priority. "
        "It needs root, CAP_SYS_NICE or an rtprio limit (ulimit -r)."
    )


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
