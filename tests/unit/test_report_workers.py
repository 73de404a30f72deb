"""The table of workers in the console: sums over steps, several classes of one step counted once."""

from __future__ import annotations

from typing import Any

from triton_users.report.workers import MAX_SHOWN, worker_table


def generator(worker: int, **change: Any) -> dict[str, Any]:
    return {
        "worker": worker,
        "host": "node",
        "address": f"198.18.0.{worker}",
        "requests": 300,
        "share": 0.5,
        "late": 0,
        "dropped": 0,
        "never_sent": 0,
        "unrecorded": 0,
        "windows": 5,
        "windows_missing": 0,
        "cpu_ratio": 0.25,
        "send_lag_p99_ns": 80_000,
        "clock_uncertainty_ns": 120_000,
    } | change


def row(name: str, *generators: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "scheduled": 100, "generators": list(generators)}


def shown(*rows: dict[str, Any]) -> list[str]:
    return [line.plain for line in worker_table(rows)]


def test_one_worker_needs_no_table() -> None:
    assert shown(row("a", generator(0)), row("b", generator(0))) == []


def test_sums_over_steps_and_each_step_once() -> None:
    first = row("a", generator(0), generator(1, requests=100, never_sent=7, windows_missing=1))
    second = row("b", generator(0, share=1.0, cpu_ratio=0.5, send_lag_p99_ns=None)) | {"scheduled": 400}
    lines = shown(first, first, second)  # two classes of the first step
    assert [line.split() for line in (lines[0], *lines[2:])] == [
        [
            "worker",
            "at",
            "share",
            "CPU",
            "lag",
            "p99",
            "clock",
            "requests",
            "never",
            "sent",
            "windows",
            "missing",
        ],
        ["0", "198.18.0.0", "90", "%", "50", "%", "80", "µs", "±", "120", "µs", "600", "0", "10", "0"],
        ["1", "198.18.0.1", "10", "%", "25", "%", "80", "µs", "±", "120", "µs", "100", "7", "5", "1"],
    ]


def test_a_closed_loop_has_no_column_of_send_lag() -> None:
    assert "lag" not in shown(row("a", *(generator(n, send_lag_p99_ns=None) for n in range(2))))[0]


def test_of_many_the_busiest() -> None:
    lines = shown(row("a", *(generator(n, cpu_ratio=n / 1000) for n in range(100))))
    assert len(lines) == 2 + MAX_SHOWN + 1
    assert lines[2].split()[0] == str(100 - MAX_SHOWN)
    assert lines[-1] == f"and {100 - MAX_SHOWN} workers with less CPU: see summary.json"
