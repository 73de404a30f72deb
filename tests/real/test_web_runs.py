"""Runs from the web UI: started, stopped and started again, on one server or another, always to the unit."""

from __future__ import annotations

import csv
import html
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.locust_process import finish
from tests.real.web_process import WebLocust
from triton_users.server.embedded import EmbeddedTriton

SHORT = {"measurement_interval": "700"}
LONG = {"concurrency_range": "4", "measurement_interval": "60s"}


@pytest.fixture(scope="module")
def web(usable_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebLocust]:
    """One process for all tests here, with an embedded Triton; each leaves it stopped."""
    form = {"model": "identity_16", "warm_up": "200ms"}
    with WebLocust(tmp_path_factory.mktemp("web"), "-m", "identity_16", form=form) as locust:
        yield locust
        locust.end()


def totals(folder: Path) -> Counter[str]:
    """All requests of a run, warm-up included, from its windows: ok and failed, and both by class."""
    found = Counter[str]()
    for line in WebLocust.lines_of(folder):
        for series in line["series"]:
            failed = sum(series["failed"].values())
            batch = series["class"]["batch_size"]
            found.update({"ok": series["ok"], "failed": failed, f"batch {batch}": series["ok"] + failed})
    return found


def table(web: WebLocust) -> dict[str, Any]:
    """Locust's own table by name; it keeps an answer for two seconds, so an old one may come first."""
    return {row["name"]: row for row in web.json("stats/requests")["stats"]}


def settled(web: WebLocust, count: int) -> dict[str, Any]:
    web.until(lambda: table(web)["Aggregated"]["num_requests"] == count, f"{count} requests in the table")
    return table(web)


def test_two_runs_in_a_row_agree_with_locusts_table_to_the_unit(web: WebLocust) -> None:
    servers, folders = set(), []
    for seed in ("1", "2"):
        folder = web.run(concurrency_range="4", batch_size="1,8", seed=seed, **SHORT)
        folders.append(folder)
        servers.add(web.live["server"])
        expected = totals(folder)
        rows = settled(web, expected["ok"])
        assert expected["failed"] == 0 < expected["ok"]
        for batch in (1, 8):
            (row,) = [row for name, row in rows.items() if f" b{batch} " in f"{name} "]
            assert (row["num_requests"], row["num_failures"]) == (expected[f"batch {batch}"], 0)
            assert row["method"] == "gRPC"
        assert rows["Aggregated"]["num_failures"] == 0
        # The measured trials are a part of what Locust counts.
        assert 0 < sum(row["ok"] for row in web.rows_of(folder)) < expected["ok"]
        assert all(row["audit"]["equal"] for row in web.rows_of(folder))
        lines = web.lines_of(folder)
        span_s = (max(line["end_ns"] for line in lines) - min(line["start_ns"] for line in lines)) / 1e9
        total_rps = web.json("stats/requests")["total_rps"]
        assert expected["ok"] / (span_s + 2) < total_rps < expected["ok"] / max(span_s - 2, 0.5)

        read = list(csv.DictReader(io.StringIO(web.get("stats/requests/csv"))))
        assert {row["Name"]: int(row["Request Count"]) for row in read} == {
            name: row["num_requests"] for name, row in rows.items()
        }
        assert len(list(csv.DictReader(io.StringIO(web.get("stats/failures/csv"))))) == 0
        assert f'"num_requests": {expected["ok"]}' in report(web)
    assert len(set(folders)) == 2 and len(servers) == 1


def report(web: WebLocust) -> str:
    """The HTML report's data, evenly spaced."""
    return re.sub(r":\s*", ": ", html.unescape(web.get("stats/report?download=1")))


def test_failures_are_in_every_view(web: WebLocust) -> None:
    folder = web.run(model="failing", shape="INPUT0:4", concurrency_range="2", **SHORT)
    expected = totals(folder)
    rows = settled(web, expected["ok"] + expected["failed"])
    assert rows["Aggregated"]["num_failures"] == expected["failed"] > 0
    (row,) = web.rows_of(folder)
    assert row["errors"] and sum(row["errors"].values()) == row["failed"]
    errors = web.json("stats/requests")["errors"]
    assert sum(error["occurrences"] for error in errors) == expected["failed"]
    read = list(csv.DictReader(io.StringIO(web.get("stats/failures/csv"))))
    assert sum(int(row["Occurrences"]) for row in read) == expected["failed"]
    assert f'"occurrences": {expected["failed"]}' in report(web)
    assert web.live["total"]["failed"] == expected["failed"]


def test_the_stop_button_closes_the_run_and_the_next_start_works(web: WebLocust) -> None:
    web.start(**LONG)
    web.until(lambda: web.live["last"] is not None, "first second")
    assert "under way" in web.post("swarm", **web.form)["message"]
    folder = web.stop()
    (row,) = web.rows_of(folder)
    assert row["ok"] == row["scheduled"] and row["audit"]["equal"] is True
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            "run.json",
            "windows.jsonl",
            "summary.json",
            "summary.csv",
            "summary.svg",
            "latency.hlog",
            "server.log",
        ]
    )
    (*_, aggregated) = csv.DictReader(io.StringIO(web.get("stats/requests/csv")))
    assert int(aggregated["Request Count"]) == totals(folder)["ok"]
    assert web.run(concurrency_range="1", **SHORT) != folder


def test_without_a_range_the_users_are_one_step_until_the_run_time_or_the_stop(web: WebLocust) -> None:
    folder = web.run(user_count="3", spawn_rate="10", run_time="1s")
    (row,) = web.rows_of(folder)
    assert (row["mode"], row["concurrency"]) == ("closed", 3)
    web.start(user_count="2", spawn_rate="10")  # the run time is empty again, so nothing ends it
    web.until(lambda: (web.live["last"] or {}).get("second", 0) >= 2, "third second")
    assert web.live["running"]
    (row,) = web.rows_of(web.stop())
    assert row["concurrency"] == 2


def test_a_form_with_faults_starts_nothing_and_the_page_stays_usable(web: WebLocust) -> None:
    message = web.refused(batch_size="1,zwei", seed="x", user_count="many", measurement_interval="")
    assert "--users: 'many'" in message
    message = web.refused(batch_size="1,zwei", seed="x")
    assert message.startswith("(1) --batch-size: 'zwei'") and "(2) --seed: 'x'" in message
    assert "no demo model is called nosuch" in web.refused(model="nosuch")
    assert "batch" in web.refused(batch_size="999")
    assert "command line" in web.refused(results="/somewhere")
    assert "command line" in web.refused(dry_run="true")
    secret = "grpc://me:hunter2@127.0.0.1:1"
    assert "--host" in web.refused(host=secret)
    assert "no Triton answers at 127.0.0.1:9" in web.refused(host="127.0.0.1:9", wait_ready="300ms")
    pages = "".join(map(web.get, ("", "logs", "triton/", "triton/live.json", "stats/requests")))
    assert "hunter2" not in pages + web.output
    web.run(concurrency_range="1", **SHORT)


def test_a_host_in_the_form_and_none_again(web: WebLocust, triton: EmbeddedTriton) -> None:
    embedded = web.left("tritonserver")
    folder = web.run(host=triton.url, concurrency_range="1", **SHORT)
    assert web.live["server"] == triton.url and not web.live["embedded"]
    assert all(row["audit"]["equal"] for row in web.rows_of(folder))
    assert not (folder / "server.log").exists()
    assert not set(embedded) & set(web.left("tritonserver"))
    assert f'"host": "{triton.url}"' in web.get("")
    folder = web.run(concurrency_range="1", **SHORT)
    assert web.live["embedded"] and web.live["server"] != triton.url
    assert (folder / "server.log").exists()
    assert '"host": ""' in web.get("")


def test_autostart_and_autoquit(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with WebLocust(
        tmp_path,
        *("-H", triton.url, "-m", "identity_16", "--autostart", "--autoquit", "1"),
        *("--concurrency-range", "2", "--warm-up", "200ms", "-p", "500"),
    ) as run:
        finish(run)
    assert run.rows[0]["ok"] > 0
