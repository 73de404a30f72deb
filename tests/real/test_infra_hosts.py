"""Workers over SSH, for real: sshd in network namespaces, real workers, a real run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.real.infra_machines import MASTER, PORT, ROOT, Machines, machines, on_hosts, started

SECRET = "s3cret-that-no-process-list-shows"
IDLE = """
import os, sys
print("idle with", len(os.environ.get("MY_SECRET", "")), "characters", flush=True)
from locust import User, task
class Idle(User):
    @task
    def nothing(self): pass
"""
TRITON = """
import sys, time
from pathlib import Path
from triton_users import demo
from triton_users.server.embedded import EmbeddedTriton
root, address = Path(sys.argv[1]), sys.argv[2]
options = (f"--grpc-address={address}", "--grpc-port=8001")
server = EmbeddedTriton(demo.build(root / "models", ["identity"]), root / "triton.log", options=options)
server.start()
while server.alive:
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    yield from machines(tmp_path_factory.mktemp("machines"), 2)


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    path = tmp_path / "idle.py"
    path.write_text(IDLE)
    return path


def until(true: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def lines_of(machines: Machines, *more: str) -> Path:
    return machines.hosts_file(*(f"{machines.address(n)}:{PORT} {' '.join(more)}" for n in range(2)))


def workers(machines: Machines) -> int:
    """Locust processes on both machines."""
    count = 0
    for pid in machines.pids(0) | machines.pids(1):
        with suppress(FileNotFoundError):  # it has ended since
            count += b"--worker" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return count


def test_a_whole_run_with_workers_on_two_machines(two: Machines, usable_triton: None, tmp_path: Path) -> None:
    server = started(two.command(sys.executable, "-c", TRITON, str(tmp_path), MASTER))
    options = ["-f", str(ROOT / "locustfiles" / "any.py"), "--headless", "--master", "--expect-workers", "2"]
    options += ["-m", "identity", "-H", f"{MASTER}:8001", "--shape", "INPUT0:16"]
    options += ["--request-rate-range", "200"]
    options += ["-p", "1s", "--warm-up", "0.5s", "--results", str(tmp_path / "results")]
    hosts = on_hosts(two, lines_of(two), "--logs", str(tmp_path / "logs"))
    load = started(hosts)
    master = started(two.command(sys.executable, "-m", "locust", *options))
    try:
        said, _ = master.communicate(timeout=60)
        assert master.returncode in (0, 4), said  # 4: this machine was busy, and requests were late
        heard, _ = load.communicate(timeout=30)
    finally:
        for process in (master, load, server):
            process.kill()
            process.communicate()
    assert load.returncode == 0, heard
    assert "2 workers ended, all well" in heard
    (folder,) = (tmp_path / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["run"]["workers"] == 2
    (step,) = summary["steps"]
    assert step["scheduled"] == step["ok"] > 100
    assert step["audit"]["equal"] is True
    logs = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert logs == [f"198.18.77.1{n}_{PORT}-0.log" for n in (1, 2)]
    assert f"{two.address(1)}:{PORT} | " in heard
    until(lambda: not two.pids(0) | two.pids(1), "left behind")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_the_command_ends_no_worker_is_left(
    two: Machines, idle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    hosts = lines_of(two, "workers=2")
    load = started(on_hosts(two, hosts, "-f", str(idle), "--logs", str(tmp_path / "logs")))
    try:
        until(lambda: workers(two) == 4, "four workers")
        os.kill(load.pid, number)  # `ip netns exec` has become the command itself
        said, _ = load.communicate(timeout=30)
    finally:
        load.kill()
    until(lambda: not two.pids(0) | two.pids(1), f"left behind; {said}")
    if number is signal.SIGKILL:
        assert load.returncode == -number
    else:
        assert load.returncode == 128 + number, said
        assert "stopped: 4 workers ended" in said


def test_a_cut_connection_ends_the_workers_and_is_named(two: Machines, idle: Path, tmp_path: Path) -> None:
    load = started(on_hosts(two, lines_of(two), "-f", str(idle), "--logs", str(tmp_path / "logs")))
    try:
        until(lambda: workers(two) == 2, "two workers")
        for pid in subprocess.run(
            ["ip", "netns", "pids", two.names[0]], capture_output=True, text=True, check=True
        ).stdout.split():
            said_to_be = (Path("/proc") / pid / "cmdline").read_bytes()
            if said_to_be.startswith(b"sshd: ") and b"[listener]" not in said_to_be:
                os.kill(int(pid), signal.SIGKILL)
        until(lambda: not two.pids(0), "left behind", 15)
        assert workers(two) == 1  # the other machine goes on
        load.send_signal(signal.SIGINT)
        said, _ = load.communicate(timeout=30)
    finally:
        load.kill()
    until(lambda: not two.pids(1), "left behind")
    assert load.returncode == 130, said


def test_the_environment_travels_unseen(two: Machines, idle: Path, tmp_path: Path) -> None:
    more = ["-f", str(idle), "--env", "MY_SECRET", "--logs", str(tmp_path / "logs")]
    load = started(on_hosts(two, lines_of(two), *more), MY_SECRET=SECRET)
    try:
        until(lambda: workers(two) == 2, "two workers")
        shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.exists()]
        until(lambda: _logged(tmp_path).count(f"idle with {len(SECRET)} characters") == 2, "the variable")
    finally:
        load.send_signal(signal.SIGTERM)
        said, _ = load.communicate(timeout=30)
    assert not any(SECRET.encode() in line for line in shown)
    assert SECRET not in said


def _logged(folder: Path) -> str:
    return "".join(path.read_text() for path in (folder / "logs").glob("*.log"))


def test_every_host_that_is_not_in_order_is_named_with_what_to_do(two: Machines, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    hosts = two.hosts_file(
        f"{two.address(0)}:{PORT}",
        f"{two.address(1)}:{PORT} venv={bare}",
        f"{two.address(0)}:{PORT + 1}",
        "198.18.77.99",
        "no-such-host.invalid",
    )
    found = subprocess.run(
        on_hosts(two, hosts), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert found.returncode == 2, found.stderr
    for sign in (
        f"{two.address(1)}:{PORT}: {bare}/bin/python has no triton-users and no locust: install",
        f"{two.address(0)}:{PORT + 1}: nothing listens there: start sshd",
        "198.18.77.99: it cannot be reached",
        "no-such-host.invalid: its name is unknown",
        "nothing was started",
    ):
        assert sign in found.stderr
    until(lambda: not two.pids(0) | two.pids(1), "left behind")


@pytest.mark.parametrize(
    ("key", "known", "python", "says"),
    [
        ("strange", "known_hosts", sys.executable, "the key was refused: put your public key there"),
        ("key", "nobody", sys.executable, "its host key is unknown or has changed"),
        ("key", "known_hosts", "/no/such/python", "there is no /no/such/python on it: give --venv"),
    ],
)
def test_a_refusal_says_what_to_do(two: Machines, key: str, known: str, python: str, says: str) -> None:
    hosts = two.hosts_file(f"{two.address(0)}:{PORT} python={python}")
    command = on_hosts(two, hosts, config=two.ssh_config(key, known))
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 2
    assert says in found.stderr


def test_a_check_starts_nothing(two: Machines) -> None:
    command = on_hosts(two, lines_of(two), "--check")
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert found.returncode == 0, found.stderr
    assert found.stderr.count("in order: Python 3.") == 2
    until(lambda: not two.pids(0) | two.pids(1), "left behind")
