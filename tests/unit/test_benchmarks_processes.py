"""Children of the bench are counted whole, and none outlives its use; and the window's arithmetic."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import processes
from benchmarks.measurement import PeerError
from benchmarks.processes import Child
from benchmarks.window import Reading, between

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
NESTED = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\ntime.sleep(60)\n"
STUBBORN = (
    "import signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
    "print('up', flush=True)\ntime.sleep(60)\n"
)
LIMIT_S = 10


def child(folder: Path, program: str) -> Child:
    return Child([sys.executable, "-c", program], folder / "log")


def test_an_end_is_seen_with_its_code_cpu_and_output(tmp_path: Path) -> None:
    with child(tmp_path, BUSY + "print('done')\nraise SystemExit(3)") as busy:
        assert busy.wait(LIMIT_S)
        assert (busy.returncode, busy.output) == (3, "done\n")
        assert 0.3 <= busy.total_cpu_s() < 2
        assert busy.end()


def test_the_time_of_children_that_have_ended_is_counted(tmp_path: Path) -> None:
    with child(tmp_path, NESTED) as parent:
        deadline = time.monotonic() + LIMIT_S
        while parent.cpu_s() < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert 0.3 <= parent.cpu_s() < 2
        assert parent.rss_bytes() > 1e6


def test_leaving_ends_the_whole_tree_even_what_left_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "TERM_S", 0.5)
    with child(tmp_path, STUBBORN) as stubborn:
        deadline = time.monotonic() + LIMIT_S
        while "up" not in stubborn.output and time.monotonic() < deadline:
            time.sleep(0.05)
        tree = stubborn.tree()
        assert len(tree) == 2
    _, alive = psutil.wait_procs(tree, LIMIT_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_rate_and_cpu_of_a_window() -> None:
    found = between(Reading(10**10, 1_000, 7_000, 1.5), Reading(14 * 10**9, 41_000, 4_007_000, 2.5))

    assert (found.requests_per_s, found.cpu_us_per_request, found.cores) == (10_000, 25, 0.25)
    assert found.server_mean_ns == 100


def test_a_window_without_a_success_is_no_measurement() -> None:
    with pytest.raises(PeerError, match="not one"):
        between(Reading(0, 5, 0, 0), Reading(1, 5, 0, 1))


@pytest.mark.skipif(not importlib.util.find_spec("pytriton"), reason="the bench starts a Triton of its own")
def test_the_bench_itself_runs_without_locust() -> None:
    """Locust would put gevent under its clocks, its children and grpcio, which then may block for ever."""
    program = "import sys, benchmarks.command\nsys.exit('locust' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
