"""The page's table of workers, from merged seconds: what is now, what has been so far, and who is silent."""

from __future__ import annotations

from typing import Any

from triton_users.web.workers import SHOWN, Workers


def window(worker: int, seq: int, scheduled: int, **change: Any) -> dict[str, Any]:
    return {
        "worker": worker,
        "seq": seq,
        "scheduled": scheduled,
        "sent": scheduled - 1,
        "late": 2,
        "dropped": 1,
        "cpu_ratio": 0.25,
        "send_lag_p99_ns": 80_000,
        "address": f"198.18.0.{worker}",
        "clock_offset_ns": -5000,
        "clock_uncertainty_ns": 120_000,
    } | change


def line(second: int, *windows: dict[str, Any]) -> dict[str, Any]:
    return {"step": 0, "second": second, "generators": list(windows)}


def test_the_last_second_and_the_sums_so_far() -> None:
    workers = Workers()
    workers.add(line(7, window(0, 0, 300), window(1, 0, 100)))
    workers.add(line(8, window(0, 1, 150), window(1, 1, 20), window(1, 2, 30, cpu_ratio=0.5)))
    first, second = workers.figures()
    assert first == {
        "worker": 0,
        "address": "198.18.0.0",
        "share": 0.75,
        "cpu_ratio": 0.25,
        "send_lag_p99_ns": 80_000,
        "clock_offset_ns": -5000,
        "clock_uncertainty_ns": 120_000,
        "requests": 448,
        "late": 4,
        "dropped": 2,
        "windows": 2,
        "windows_missing": 0,
    }
    assert (second["share"], second["cpu_ratio"], second["requests"], second["windows"]) == (
        0.25,
        0.5,
        147,
        3,
    )


def test_a_late_window_counts_once_and_is_missing_until_then() -> None:
    workers = Workers()
    workers.add(line(0, window(0, 0, 100)))
    workers.add(line(2, window(0, 2, 100, cpu_ratio=0.5)))
    assert [(one["windows"], one["windows_missing"]) for one in workers.figures()] == [(2, 1)]
    for _ in range(2):
        workers.add(line(1, window(0, 1, 100)))
    [found] = workers.figures()
    assert (found["windows"], found["windows_missing"], found["requests"], found["cpu_ratio"]) == (
        3,
        0,
        297,
        0.5,
    )


def test_a_silent_worker_keeps_its_sums_and_has_no_figures_of_now() -> None:
    workers = Workers()
    workers.add(line(0, window(0, 0, 100), window(1, 0, 100)))
    workers.add(line(2, window(1, 2, 100)))
    assert [one["share"] for one in workers.figures()] == [0.5, 1.0]
    workers.add(line(3, window(1, 3, 100)))
    silent, alive = workers.figures()
    assert (silent["share"], silent["cpu_ratio"], silent["send_lag_p99_ns"]) == (None, None, None)
    assert (silent["requests"], silent["address"], alive["share"]) == (99, "198.18.0.0", 1.0)


def test_a_closed_loop_has_no_send_lag() -> None:
    workers = Workers()
    for flows, lag_ns in (([], None), (["Poisson"], 80_000), ([], None)):
        workers.add(line(0, window(0, 0, 100)) | {"open_loop": flows})
        assert workers.figures()[0]["send_lag_p99_ns"] == lag_ns


def test_of_many_the_busiest() -> None:
    workers = Workers()
    workers.add(line(0, *(window(n, 0, 1, cpu_ratio=n / 1000) for n in range(SHOWN + 5))))
    assert [one["worker"] for one in workers.figures()] == list(range(5, SHOWN + 5))
    assert workers.count == SHOWN + 5
