"""However its owner ends, the embedded server ends too: killed, terminated, by an exception, by an exit.

Each case runs in plain Python; the killed one also as Locust would run it, monkey-patched by gevent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.real.server_processes import members
from triton_users import demo
from triton_users.server.workplace import PREFIX, SHARED_MEMORY, sweep

OWNER = """
import sys
from pathlib import Path
{first}
from triton_users.server.embedded import EmbeddedTriton
from triton_users.server.control import Control
from tests.real.server_caller import PlainCaller

server = EmbeddedTriton(Path(sys.argv[1]), Path(sys.argv[2]))
server.start()
server.wait_ready(lambda: Control(PlainCaller(server.url)).ready())
print(server.pid, server._place.path, flush=True)
{then}
"""

GEVENT = "from gevent import monkey; monkey.patch_all()"
WAIT = "sys.stdin.read()"


@pytest.mark.parametrize(
    ("first", "then", "end", "code"),
    [
        ("", WAIT, signal.SIGKILL, -signal.SIGKILL),
        (GEVENT, WAIT, signal.SIGKILL, -signal.SIGKILL),
        ("", WAIT, signal.SIGTERM, -signal.SIGTERM),
        ("", "raise RuntimeError('something is wrong')", None, 1),
        (GEVENT, "sys.exit(3)", None, 3),
    ],
    ids=["kill -9", "kill -9 under gevent", "SIGTERM", "exception", "exit under gevent"],
)
def test_nothing_is_left(
    usable_triton: None, tmp_path: Path, *, first: str, then: str, end: signal.Signals | None, code: int
) -> None:
    repository = demo.build(tmp_path / "models", ["identity"])
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(first=first, then=then), repository, tmp_path / "server.log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        group, place = owner.stdout.readline().split()
        if end is not None:
            assert {"tritonserver", "triton_python_b"} <= {name[:15] for name in members(int(group))}
            os.kill(owner.pid, end)
        assert owner.wait(10) == code
    deadline = time.monotonic() + 10
    while members(int(group)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(int(group)) == []
    sweep()  # as the next server does
    assert Path(place).name.startswith(PREFIX)
    assert not Path(place).exists()
    assert not list(SHARED_MEMORY.glob(f"{Path(place).name}*"))
