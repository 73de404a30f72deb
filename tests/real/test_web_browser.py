"""The web UI as a person sees it, in a real browser: TRITON_USERS_SHOTS keeps the pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real import web_browser
from tests.real.web_process import WebLocust
from triton_users.server.embedded import EmbeddedTriton


@pytest.fixture(scope="session")
def usable_browser() -> None:
    """Skips, with the reason, where there is no Chromium; under CI that is a failure."""
    if not Path(web_browser.CHROMIUM).exists():
        why = f"there is no {web_browser.CHROMIUM}: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


def seen_by_browser(web: WebLocust, folder: Path, *more: str) -> dict[str, Any]:
    """What web_browser.py saw."""
    shots = os.environ.get("TRITON_USERS_SHOTS", str(folder))
    command = [sys.executable, web_browser.__file__, web.url, shots, *more]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, f"{found.stderr}\n{web.output}"
    seen: dict[str, Any] = json.loads(found.stdout)
    return seen


def test_a_fault_a_run_and_another_by_clicks(
    usable_browser: None, triton: EmbeddedTriton, tmp_path: Path
) -> None:
    arguments = ("-H", triton.url, "-m", "identity_16", "--warm-up", "200ms", "-p", "2500ms")
    with WebLocust(tmp_path / "run", *arguments) as web:
        seen = seen_by_browser(web, tmp_path)
        first, second = web.folders
        rows = web.rows_of(first)
        assert web.rows_of(second)[0]["concurrency"] == 2
        web.end()
    assert seen["errors"] == []
    assert "--batch-size: 'zwei'" in seen["form"] and "--seed: '-3'" in seen["form"]
    assert "No run has finished yet." in seen["before"] and not seen["picture_before"]
    assert [row["concurrency"] for row in rows] == [2, 8]
    for text in ("batch 1, concurrency", "Achieved rate", "Latency p99", "Send lag p99", "Lost", "Late"):
        assert text in seen["tab"]
    for text in ("Queue, identity_16", "Compute, identity_16", ", all processors"):
        assert text in seen["tab"] and text in seen["page"]
    total = sum(s["ok"] for line in web.lines_of(first) for s in line["series"])
    assert f"\t{total}\t" in seen["table"]
    assert seen["typed"] == {"seed": "7", "concurrencyRange": "2,8", "batchSize": ""}
    assert all(colours > 5 for colours in seen["colours"]), "nothing was drawn"
    assert "concurrency 2" in seen["results"] and second.name in seen["results"]


def test_a_row_for_each_worker(usable_browser: None, triton: EmbeddedTriton, tmp_path: Path) -> None:
    two = ("-m", "identity_16", "--processes", "2", "--warm-up", "200ms", "--no-agent")
    with WebLocust(tmp_path / "run", "-H", triton.url, *two, form={"host": triton.url}) as web:
        web.until(lambda: len(web.json("stats/requests")["workers"]) == 2, "two workers")
        web.start(model="identity_16", request_rate_range="100", measurement_interval="60s", no_agent="true")
        web.until(lambda: (web.live["last"] or {}).get("second", 0) >= 2, "third second")
        seen = seen_by_browser(web, tmp_path, "workers")
        web.stop()
        web.end()
    assert seen["errors"] == []
    titles, *rows = seen["rows"]
    assert " ".join(titles) == (
        "worker address share CPU send lag p99 clock offset requests late dropped windows missing"
    )
    assert [row[:2] for row in rows] == [["0", "127.0.0.1"], ["1", "127.0.0.1"]]
    for row in rows:
        found = dict(zip(titles, row, strict=True))
        assert found["share"].endswith(" %") and found["CPU"].endswith(" %")
        assert " ± " in found["clock offset"] and found["send lag p99"].endswith("s")
        assert int(found["requests"]) > 50 and int(found["windows"]) >= 2
        assert (found["dropped"], found["missing"]) == ("0", "0")
