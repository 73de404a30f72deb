"""Workers over SSH without SSH: the hosts file, the keeper through pipes, and what failures are called."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from infra.hosts import remote
from infra.hosts.__main__ import main
from infra.hosts.hosts_file import Host, HostsError, read

ROOT = Path(__file__).parents[2]
HERE = Host("somewhere", None, None, 1, sys.executable)
SLEEPER = "import time; print('awake', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "hosts"
    path.write_text(text)
    return path


def test_the_hosts_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "# all of them\n\nme@one:2222 workers=4 venv=/opt/it/  # the big one\n"
        "two python=/usr/bin/python3.11\nme@[2001:db8::1]:22\n",
    )
    assert read(path, 2, "python3") == [
        Host("one", "me", 2222, 4, "/opt/it/bin/python"),
        Host("two", None, None, 2, "/usr/bin/python3.11"),
        Host("2001:db8::1", "me", 22, 2, "python3"),
    ]
    assert [host.label for host in read(path, 2, "python3")] == ["one:2222", "two", "[2001:db8::1]:22"]
    assert [host.file_name for host in read(path, 2, "p")] == ["one_2222", "two", "2001_db8_1_22"]


def test_the_example_is_a_hosts_file() -> None:
    assert len(read(ROOT / "infra" / "hosts" / "hosts.example", 1, "python3")) == 3


def test_all_faults_of_a_hosts_file_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "one workers=0\ntwo cores=3\nthree:99999\n-oProxyCommand=x\nme@-oProxyCommand=x\nfour\nfour\n"
        "five venv=/a python=/b\na b@c\n",
    )
    with pytest.raises(HostsError) as caught:
        read(path, 1, "python3")
    said = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in said] == ["1", "2", "3", "4", "5", "7", "8", "9"]
    assert "workers=0" in said[0]
    assert "'cores=3' is not understood; write [user@]host[:port]" in said[1]
    assert "four is there twice" in said[5]


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_a_hosts_file_without_hosts(tmp_path: Path, text: str) -> None:
    with pytest.raises(HostsError, match="has no host"):
        read(written(tmp_path, text), 1, "python3")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--hosts", "/no/such/file", "--master-host", "m"], "cannot read /no/such/file"),
        (["--master-host", "127.0.0.1"], "--master-host 127.0.0.1 means each host itself"),
        (["--master-host", "m", "--env", "TOKEN=s3cret"], "takes a variable's name alone"),
        (["--master-host", "m", "--env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE not set here"),
        (["--master-host", "m", "--workers", "0"], "workers=0"),
    ],
)
def test_what_is_refused_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    hosts = written(tmp_path, "one\n")
    assert main([*(() if "--hosts" in arguments else ("--hosts", str(hosts))), *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("code", "said", "meaning"),
    [
        (255, ["root@h: Permission denied (publickey)."], "the key was refused"),
        (255, ["ssh: connect to host h port 22: Connection refused"], "nothing listens there"),
        (255, ["something new", ""], "ssh ended with 255: something new"),
        (127, ["sh: 1: exec: /x: not found"], "there is no"),
        (1, ["Traceback", "ValueError: odd"], "ended with 1 on it: ValueError: odd"),
    ],
)
def test_what_a_failure_of_ssh_is_called(code: int, said: list[str], meaning: str) -> None:
    assert meaning in remote.ssh_failure(HERE, code, said)


def test_a_host_without_the_package_or_with_an_old_python() -> None:
    hello = {"python": "3.11.2", "package": "0.1.0", "locust": "2.47.0"}
    assert remote.what_is_missing(HERE, hello) is None
    assert "has no triton-users:" in (remote.what_is_missing(HERE, hello | {"package": None}) or "")
    assert "3.11 is needed" in (remote.what_is_missing(HERE, hello | {"python": "3.9.2"}) or "")


def test_ssh_asks_nothing_and_shows_nothing() -> None:
    order = remote.order(HERE, ["-m", "locust"], {"TOKEN": "s3cret"})
    command = remote.ssh_command(Host("h", "me", 2222, 1, "/a b/python"), Path("/config"))
    assert "BatchMode=yes" in command
    assert command[-3:-1] == ["--", "h"]
    assert command[-1].startswith("exec '/a b/python' -u -c '")
    assert "s3cret" not in " ".join(command)
    assert b"s3cret" in order


# The keeper, as ssh would start it


@contextlib.contextmanager
def keeper(
    code: str, workers: int = 1, silence_s: int = 20, stop_s: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    host = Host("here", None, None, workers, sys.executable)
    order = json.loads(remote.order(host, ["-c", code], {"MINE": "42"}))
    order |= {"silence_s": silence_s, "stop_s": stop_s}
    command = [sys.executable, "-u", "-c", remote.BOOT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        tell(process, json.dumps(order).encode())
        yield process
    finally:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def started(process: subprocess.Popen[bytes], awake: int = 1) -> list[int]:
    """Say go; the workers' process ids once all are awake."""
    tell(process, b"go")
    assert process.stdout is not None
    pids: list[int] = []
    while not pids or awake:
        line = process.stdout.readline()
        assert line, "the keeper has ended"
        awake -= line.endswith(b" awake\n")
        if line.startswith(b"! "):
            pids = json.loads(line[2:]).get("started", pids)
    return pids


def gone(pids: Sequence[int], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while any((Path("/proc") / str(pid)).exists() and not _zombie(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _zombie(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_the_keeper_passes_on_lines_and_codes() -> None:
    code = "import os; print('MINE', os.environ['MINE']); print('no end', end=''); raise SystemExit(3)"
    with keeper(code, workers=2) as process:
        tell(process, b"go")
        assert process.stdout is not None
        said = process.stdout.read()
    lines = said.splitlines()
    for number in (b"0", b"1"):
        assert number + b" MINE 42" in lines
        assert number + b" no end" in lines
    news = [json.loads(line[2:]) for line in lines if line.startswith(b"! ")]
    assert sorted((item["worker"], item["code"]) for item in news if "worker" in item) == [(0, 3), (1, 3)]
    assert news[-1] == {"ended": True, "why": "all workers have ended"}


def test_each_worker_has_a_temporary_folder_that_goes_with_it() -> None:
    """Locust's copy of the master's locustfile has one name: two workers would read it half-written."""
    code = "import tempfile; print(tempfile.gettempdir())"
    with keeper(code, workers=2) as process:
        tell(process, b"go")
        assert process.stdout is not None
        said = process.stdout.read().decode()
    places = {line[2:] for line in said.splitlines() if line.startswith(("0 ", "1 "))}
    assert len(places) == 2, said
    assert not any(Path(place).exists() for place in places)


@linux
def test_the_keeper_ends_the_workers_with_the_connection() -> None:
    with keeper(SLEEPER, workers=2) as process:
        pids = started(process, 2)
        assert process.stdin is not None
        process.stdin.close()
        assert gone(pids)
        assert process.wait(10) == 0


@linux
@pytest.mark.parametrize("word", [b"stop", None], ids=["told", "signalled"])
def test_the_keeper_kills_who_does_not_end(word: bytes | None) -> None:
    with keeper(STUBBORN) as process:
        pids = started(process)
        if word is None:
            process.terminate()
        else:
            tell(process, word)
        assert gone(pids)
        assert process.wait(10) == 0


@linux
def test_silence_ends_the_workers_and_a_beat_does_not() -> None:
    with keeper(SLEEPER, silence_s=1) as process:
        pids = started(process)
        for _ in range(5):
            time.sleep(0.3)
            tell(process, b"beat")
        assert not gone(pids, 0)
        assert gone(pids, 8)


@linux
def test_a_killed_keeper_takes_the_workers_along() -> None:
    with keeper(STUBBORN) as process:
        pids = started(process)
        os.kill(process.pid, signal.SIGKILL)
        assert gone(pids)


@linux
def test_a_reader_that_hangs_keeps_no_worker_alive() -> None:
    flood = "print('awake', flush=True)\nwhile True: print('x' * 1000)"
    with keeper(flood, silence_s=1) as process:
        pids = started(process)
        assert gone(pids, 12)  # nobody reads: the keeper's own write blocks, and its alarm still rings


def test_before_go_nothing_is_started() -> None:
    with keeper(SLEEPER) as process:
        tell(process, b"stop")
        said, _ = process.communicate(timeout=10)
    assert b"started" not in said
