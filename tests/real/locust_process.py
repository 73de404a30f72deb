"""The real command as a user types it: a locust process, its output, its results, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCUST = Path(sys.executable).with_name("locust")
MARK = "TRITON_USERS_TEST_RUN"
"""In the environment of every process that a test starts, and so of all that these start."""
OUTCOMES = ("ok", "dropped", "lost")
LIMIT_S = 60.0


class LocustProcess:
    """``locust --headless`` with ``arguments`` in ``folder``; its results go to ``folder/results``.

    ``locustfile`` is a path, or the source of one. Always ended by ``wait`` or ``kill``; as a context manager
    it is killed on the way out if it still runs.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        locustfile: str | Path = ROOT / "locustfiles/any.py",
        env: dict[str, str] | None = None,
        headless: bool = True,
        prefix: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.cwd = folder
        self.results = folder / "results"
        if isinstance(locustfile, str):
            source, locustfile = locustfile, folder / "mine.py"
            locustfile.write_text(source)
        self.mark = uuid.uuid4().hex
        mode = ["--headless"] if headless else []
        command = [*prefix, str(LOCUST), "-f", str(locustfile), *mode, *arguments]
        self.out = folder / "output.txt"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {MARK: self.mark, "PYTHONPATH": str(ROOT)} | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> LocustProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # Its life

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """The exit code."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there after {limit_s:g} s:\n{self.output}") from None

    def kill(self) -> None:
        """Nothing is left of it afterwards, its children included."""
        for pid in [self.process.pid, *self.left()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def says(self, text: str, limit_s: float = 30.0) -> None:
        """Wait until ``text`` stands in the output."""
        self.until(lambda: text in self.output, f"{text!r} in the output", limit_s)

    def until(self, true: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
        deadline = time.monotonic() + limit_s
        while not true():
            ended = self.process.poll()
            assert ended is None or true(), f"ended with {ended} before {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {what} in {limit_s:g} s:\n{self.output}"
            time.sleep(0.02)

    def left(self, name: str = "") -> list[int]:
        """Living processes other than itself that it started, by the mark in their environment."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                alive = (place / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
                ours = wanted in (place / "environ").read_bytes()
                called = (place / "comm").read_text().strip()
            except OSError:
                continue
            if alive and ours and name in called and int(place.name) != self.process.pid:
                found.append(int(place.name))
        return found

    def gone(self, limit_s: float = 6.0) -> None:
        """Assert that nothing of what it started lives on."""
        deadline = time.monotonic() + limit_s
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, left

    # What it said and wrote

    @property
    def output(self) -> str:
        return self.out.read_text(errors="replace")

    @property
    def folder(self) -> Path:
        """The one results folder."""
        folders = list(self.results.glob("*"))
        assert len(folders) == 1, f"{folders}\n{self.output}"
        return folders[0]

    @property
    def summary(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return read

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.summary["steps"]
        return rows

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Of windows.jsonl, the last revision of each second."""
        text = (self.folder / "windows.jsonl").read_text()
        read = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "window"]
        return list({(line["step"], line["second"]): line for line in read}.values())

    def codes(self) -> Counter[str]:
        """How often each reason stands in the summary."""
        return Counter(reason["code"] for reason in self.summary["reasons"])


def finish(
    process: LocustProcess, code: int = 0, *, tracebacks: int = 0, limit_s: float = LIMIT_S
) -> LocustProcess:
    """Wait for the exit code, and hold what every run must hold: nothing is left, and the ledger closes."""
    found = process.wait(limit_s)
    if found == 4 and code < 4:  # a busy machine may make the generator late; all else must hold
        invalid = {r["code"] for r in process.summary["reasons"] if r["severity"] == "invalid"}
        assert invalid <= {"generator_late", "generator_too_slow"}, process.output
    else:
        assert found == code, f"exit code {found}, not {code}\n{process.output}"
    process.gone()
    assert process.output.count("Traceback") <= tracebacks, process.output
    if process.results.exists() and (folders := list(process.results.iterdir())):
        assert len(folders) == 1, folders
        ledger_closes(process.rows, process.lines)
    return process


def ledger_closes(rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> None:
    """Per row, per second, and per row over its seconds."""
    measured: dict[tuple[int, str], Counter[str]] = {}
    for line in lines:
        total = Counter[str]()
        for series in line["series"]:
            total += _counts(series)
            if series["trial"] >= 0:
                measured.setdefault((line["step"], series["flow"]), Counter()).update(_counts(series))
        start = sum(g["in_flight_start"] for g in _by_worker(line["generators"], first=True))
        end = sum(g["in_flight_end"] for g in _by_worker(line["generators"], first=False))
        assert total["scheduled"] + start == _ended(total) + end, line["second"]
    for row in rows:
        assert row["scheduled"] == row["ok"] + row["failed"] + row["dropped"] + row["lost"], row["name"]
        assert row["failed"] == sum(row["errors"].values())
        assert row["latency_ns"]["count"] == row["ok"]
    # Rows of one step and flow: several of single classes have one of the whole beside them.
    steps: dict[str, int] = {}
    for row in rows:
        steps.setdefault(row["name"], len(steps))
    for (step, flow), counts in measured.items():
        of_flow = [r for r in rows if steps[r["name"]] == step and r["flow"] == flow]
        of_classes = [r for r in of_flow if r["class"] is not None] or of_flow
        for name in ("scheduled", "ok", "failed", "dropped"):
            assert sum(r[name] for r in of_classes) == counts[name], (step, flow, name)


def _by_worker(generators: Sequence[dict[str, Any]], *, first: bool) -> list[dict[str, Any]]:
    """A second may be cut more than once: of each worker, its first or its last window."""
    ordered = sorted(generators, key=lambda one: one["seq"], reverse=first)
    return list({one["worker"]: one for one in ordered}.values())


def _counts(series: dict[str, Any]) -> Counter[str]:
    failed = sum(series["failed"].values())
    return Counter({"failed": failed, **{name: series[name] for name in ("scheduled", *OUTCOMES)}})


def _ended(counts: Counter[str]) -> int:
    return counts["failed"] + sum(counts[name] for name in OUTCOMES)
