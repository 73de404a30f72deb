"""What a user reads: the plan alone, plain text when piped, and never a secret."""

from __future__ import annotations

from pathlib import Path

from tests.real.locust_process import ROOT, LocustProcess, finish
from triton_users.server.embedded import EmbeddedTriton

TOKEN = "s3cr3t-t0k3n-for-nobody"


def test_a_dry_run_needs_no_server(tmp_path: Path) -> None:
    with LocustProcess(tmp_path, "--dry-run", locustfile=ROOT / "locustfiles/sr.py", headless=False) as run:
        assert run.wait() == 0
    assert "Plan: 8 steps, about " in run.output
    assert "50 % of the best rate, poisson" in run.output
    assert "Traceback" not in run.output and "web interface" not in run.output
    assert not run.results.exists()
    run.gone(1)


def test_plain_words_and_no_secrets(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """A token in the environment is in no output and no file; nor are Locust's own tables and asides."""
    with LocustProcess(
        tmp_path,
        *("-H", triton.url, "-m", "identity_16", "--request-rate-range", "50"),
        *("--warm-up", "100ms", "-p", "2s"),
        env={"INFLUXDB_V2_TOKEN": TOKEN, "INFLUX_TOKEN": TOKEN, "TRITON_USERS_TOKEN": TOKEN},
    ) as run:
        finish(run)
    assert "\x1b" not in run.output
    for word in (
        "Plan: 1 step, about ",
        "[1/1] batch 1, 50.0/s poisson · ",
        "requests/s",
        "Audit:",
        "Saved in ",
    ):
        assert word in run.output, word
    for noise in ("Aggregated", "Shape test", "Ramping", "spawn rate", "Shutting down"):
        assert noise not in run.output, noise
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert all(TOKEN.encode() not in path.read_bytes() for path in (*files, run.out))
