"""Runs from the web UI of a master with workers: started, stopped, started again, with the form's options."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.real.test_web_runs import settled, totals
from tests.real.web_process import WebLocust
from triton_users.server.embedded import EmbeddedTriton
from triton_users.units import NS_PER_S

TWO = ("-m", "identity_16", "--processes", "2", "--warm-up", "200ms", "--no-agent")
FORM = {"model": "identity_16", "warm_up": "200ms", "no_agent": "true"}


def ready(web: WebLocust, workers: int) -> bool:
    """Locust keeps an answer for two seconds, so an old one may come first."""
    found = web.json("stats/requests")["workers"]
    return [worker["state"] for worker in found] == ["ready"] * workers


def agrees(web: WebLocust, folder: Path) -> Counter[str]:
    """Locust's table, the windows and the audited summary tell the same requests; their counts."""
    expected = totals(folder)
    table = settled(web, expected["ok"] + expected["failed"])
    assert table["Aggregated"]["num_failures"] == expected["failed"] == 0 < expected["ok"]
    for row in web.rows_of(folder):
        assert row["audit"]["equal"] is True, row
        assert {generator["worker"] for generator in row["generators"]} == {0, 1}
        assert all(generator["requests"] > 0 for generator in row["generators"]), row
    return expected


def test_start_stop_and_start_again_with_two_workers(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """What the form changes between two starts reaches the workers: batch size, kind of load, model."""
    with WebLocust(tmp_path, "-H", triton.url, *TWO, form=FORM | {"host": triton.url}) as web:
        web.until(lambda: ready(web, 2), "two workers")

        folder = web.run(concurrency_range="4", measurement_interval="1500", seed="1")
        agrees(web, folder)
        [row] = web.rows_of(folder)
        assert (row["mode"], row["concurrency"], row["model"]) == ("closed", 4, "identity_16")

        web.start(request_rate_range="200", measurement_interval="60s", batch_size="8", seed="2")
        web.until(lambda: (web.live["last"] or {}).get("second", 0) >= 2, "third second")
        shown = web.live["workers"]
        folder = web.stop()
        agreed = agrees(web, folder)
        [row] = web.rows_of(folder)
        assert (row["mode"], row["request_rate"], row["class"]["batch_size"]) == ("open", 200, 8)
        assert row["inferences"] == 8 * row["ok"] > 0
        assert [(one["worker"], one["address"], one["windows_missing"]) for one in shown] == [
            (number, "127.0.0.1", 0) for number in (0, 1)
        ]
        assert sum(one["share"] for one in shown) == 1
        for one, generator in zip(shown, row["generators"], strict=True):
            assert 0 < one["requests"] < agreed["ok"] / 2 + 42, "of this run alone"
            assert 2 <= one["windows"] <= generator["windows"]
            assert one["cpu_ratio"] > 0 and one["send_lag_p99_ns"] > 0
            assert abs(one["clock_offset_ns"]) <= one["clock_uncertainty_ns"] < NS_PER_S

        folder = web.run(
            model="identity",
            shape="INPUT0:5",
            request_rate_range="100",
            request_distribution="constant",
            measurement_interval="2s",
            seed="3",
        )
        agrees(web, folder)
        [row] = web.rows_of(folder)
        assert (row["model"], row["class"]["input_shapes"]) == ("identity", {"INPUT0": [5]})
        assert row["ok"] == row["scheduled"] == 200
        shares = Counter({g["worker"]: g["requests"] for g in row["generators"]})
        assert abs(shares[0] - shares[1]) <= 42, "warm-up included, they take turns"
        web.end()


def test_a_faulty_form_reaches_no_worker(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with WebLocust(tmp_path, "-H", triton.url, *TWO, form=FORM | {"host": triton.url}) as web:
        web.until(lambda: ready(web, 2), "two workers")
        assert web.refused(batch_size="999")
        assert ready(web, 2)
        for _ in range(2):  # the second as soon as Locust calls itself stopped
            folder = web.run(concurrency_range="2", measurement_interval="700")
        agrees(web, folder)
        web.end()
