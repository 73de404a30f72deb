"""A made-up run's results folder, with lines of every kind: what the feed's tests write to a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.unit.test_report_example import LARGE, SMALL, ZERO_NS, example_run
from triton_users.report.rows import step_rows
from triton_users.sinks.events import event_line, lost_line, step_line
from triton_users.sinks.folder import ResultsFolder, RunRecord
from triton_users.sinks.spool import to_json
from triton_users.stats.histogram import from_values
from triton_users.stats.lines import Line
from triton_users.stats.timeline import Timeline
from triton_users.stats.trials import NO_TRIAL
from triton_users.stats.window import (
    FAILED_LATENCY,
    LATENCY,
    SEND_LAG,
    WARM_UP,
    Generator,
    Key,
    Series,
    Window,
)
from triton_users.units import NS_PER_MS, NS_PER_S

RUN = "4f2a"
OPTIONS = {"latency_threshold_ns": 10 * NS_PER_MS}
WORKERS = 2
OK_OF_SECOND = 30
"""Of each worker, class and phase."""
LOST = 7
"""Of each trial and the warm-up, when the step ends: at an instant that a second begins too."""


def series_of(latency_ms: float, ok: int = OK_OF_SECOND) -> Series:
    latency = (np.linspace(0.5, 1.5, ok) * latency_ms * NS_PER_MS).astype(np.int64)
    return Series(
        scheduled=ok + 3,
        sent=ok + 2,
        ok=ok,
        failed={"UNAVAILABLE": 2},
        dropped=1,
        inferences=ok,
        completed=ok,
        completed_inferences=ok,
        good=ok - 1,
        late=1,
        hists={
            LATENCY: from_values(latency),
            SEND_LAG: from_values(latency // 100),
            FAILED_LATENCY: from_values(latency[:2]),
        },
    )


def window_of(worker: int, second: int, step: int = 0) -> Window:
    trials = {0: (WARM_UP,), 1: (WARM_UP, 0)}.get(second, (0, NO_TRIAL))
    return Window(
        worker=worker,
        seq=second,
        second=second,
        step=step,
        start_ns=second * NS_PER_S,
        end_ns=(second + 1) * NS_PER_S,
        series={Key("ImageUser", cls, t): series_of(5.0 + second) for cls in (SMALL, LARGE) for t in trials},
        in_flight_start=1,
        in_flight_end=2,
        users=3,
        generator=Generator(0.25, 2 * NS_PER_MS, 1, 0),
    )


def lines_of(seconds: int) -> Iterator[Line]:
    """Events, ``seconds`` merged seconds of two workers, samples, steps; the last second comes in two
    revisions."""
    timeline = Timeline()
    timeline.expect(range(WORKERS))
    run = example_run()
    yield event_line(0, "run_start", 0, f"run {RUN}", "locust -f sr.py")
    yield event_line(1, "step_start", NS_PER_S, "batch 1", step=0)
    for second in range(seconds):
        for worker in range(WORKERS):
            if second == seconds - 1 and worker == 0:
                late = window_of(worker, second)
                continue
            for line in timeline.add(window_of(worker, second)):
                yield line | {"name": "batch 1", "open_loop": ["ImageUser"]}
        reading = {"labels": {"kind": "a b"}, "values": {"used_bytes": 5, "free_bytes": 7.5}}
        yield {"kind": "sample", "source": "memory", "host": "box", "at_ns": second * NS_PER_S, **reading}
    for line in [*timeline.flush(), *timeline.add(late)]:
        yield line | {"name": "batch 1", "open_loop": ["ImageUser"]}
    owed = {Key("ImageUser", SMALL, trial): Series(scheduled=LOST, lost=LOST) for trial in (WARM_UP, 0, 1)}
    yield lost_line(0, "batch 1", (seconds - 1) * NS_PER_S, owed, ["ImageUser"])
    for index, outcome in enumerate(run.steps):
        start = outcome.result.trials[0].start_ns
        rows = step_rows(run, outcome)
        if rows[0]["server"]:
            rows[0]["server"]["composing"] = {"part": dict(rows[0]["server"])}
        yield step_line(index, outcome.result.step.name, start, start + NS_PER_S, rows)
    yield event_line(2, "run_end", 0, f"run {RUN}", 'it "ended", valid', until_ns=seconds * NS_PER_S)


def results_folder(parent: Path, seconds: int = 4, zero_wall_ns: int = ZERO_NS) -> ResultsFolder:
    """A finished run's folder."""
    record = RunRecord(
        id=RUN,
        seed=1,
        zero_wall_ns=zero_wall_ns,
        command=["locust"],
        options=OPTIONS,
        versions={},
        hosts=["box"],
    )
    folder = ResultsFolder.create(parent, "sr.py", record)
    for line in lines_of(seconds):
        append(folder, line)
    return folder


def append(folder: ResultsFolder, line: dict[str, Any]) -> None:
    with folder.windows.open("ab") as file:
        file.write(to_json(line) + b"\n")
