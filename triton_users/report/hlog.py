"""latency.hlog: the latency histogram of each step and class, in HdrHistogram's log format (version 1.2).

One line each, in the order of the steps; its tag names step and class, and the flow where a step has several:
readers merge what has one tag. Its times are seconds since the run's start, its values nanoseconds. The
``hdrhistogram`` package encodes the histograms and reads the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from triton_users.clock import wall_text
from triton_users.names import class_name
from triton_users.report.outcome import RunOutcome
from triton_users.sinks.atomic import write_text
from triton_users.sinks.folder import writing
from triton_users.stats.interchange import encode
from triton_users.stats.window import LATENCY
from triton_users.step import RequestClass, Step
from triton_users.units import NS_PER_MS, NS_PER_S

LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


def tag(step: Step, flow: str, cls: RequestClass) -> str:
    """The tag of a flow's class; the format allows neither commas nor white space in it."""
    names = [step.name, *([flow] if len(step.flows) > 1 else []), class_name(cls)]
    return re.sub(r"[,\s]+", "_", "/".join(names))


def write_hlog(run: RunOutcome, path: Path) -> None:
    """Write the file, whole or not at all. Raises ResultsError."""
    with writing(path):
        write_text(path, "".join(f"{line}\n" for line in _lines(run)))


def _lines(run: RunOutcome) -> Iterator[str]:
    zero_s = run.zero_wall_ns / NS_PER_S
    yield "#[Latency in nanoseconds; Interval_Max in milliseconds]"
    yield "#[Histogram log format version 1.2]"
    yield f"#[StartTime: {zero_s:.3f} (seconds since epoch), {wall_text(run.zero_wall_ns)}]"
    yield f"#[BaseTime: {zero_s:.3f} (seconds since epoch)]"
    yield LEGEND
    for outcome in run.steps:
        result = outcome.result
        if not result.trials:
            continue
        start_ns, end_ns = result.trials[0].start_ns, result.trials[-1].end_ns
        for (flow, cls), series in result.totals.items():
            hist = series.hists.get(LATENCY)
            if hist is not None:
                yield (
                    f"Tag={tag(result.step, flow, cls)},{start_ns / NS_PER_S:.3f},"
                    f"{(end_ns - start_ns) / NS_PER_S:.3f},{hist.max / NS_PER_MS:.6f},{encode(hist)}"
                )
