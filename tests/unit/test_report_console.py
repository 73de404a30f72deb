"""What a person reads: plain text of a fixed width, and colours on a terminal alone."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.test_report_example import LARGE, SMALL, example_run, flow_of, outcome_of, series_of
from triton_users.report import summary
from triton_users.report.console import WIDTH, print_result, render_result
from triton_users.step import UNKNOWN_CLASS
from triton_users.verdict.verdict import DOUBTFUL, INVALID, Reason, Threshold

FOLDER = "results/20231114T221320Z-sr-4f2a/"

GOLDEN = """
espcn on embedded Triton 2.51.0 at grpc://***@127.0.0.1:8001 · 1 worker · seed 7 · 41 s

                       ╌╌╌ per second ╌╌  ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ latency, ms ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌
load            batch       req    infer      p50      p90      p95      p99     p99.9  █p50 ░p99
────────────────────────────────────────────────────────────────────────────────────────────────────
concurrency 1       1     61.8      61.8     16.1     17.4     17.5    ~43.4     ~43.4  ▏
concurrency 64      1  1,100     1,100       58.4     63.0     63.6    157       158    ▏
concurrency 4       8     18.4     147      218      235      237     ~586      ~587    ▋░
240/s poisson       1    118       118    1,428    1,542    1,557    3,850    ~3,857    ████▌░░░░░░░
25.0/s poisson      1     20.0      20.0     18.1     19.5     19.7    ~48.7     ~48.8  ▏
                    8      5.00     40.0     60.0    ~65.0    ~65.5    ~66.0     ~66.0  ▏
                  all     25.0      60.0     18.6     60.0     63.0    ~65.5     ~66.0  ▏

                       ╌╌╌╌╌ latency, ms ╌╌╌╌╌╌  ╌╌╌╌╌╌╌╌╌╌╌╌ of it, ms ╌╌╌╌╌╌╌╌╌╌╌╌╌  batch
load            batch        mean ± sd      max  queue  input  infer  output  network    run
────────────────────────────────────────────────────────────────────────────────────────────
concurrency 1       1     16.8 ±   4.7     43.4    3.2    0.2   11.2     0.3      2.0   2.01
concurrency 64      1     61.2 ±  17.2    158     11.6    0.6   40.6     1.2      7.2   2.00
concurrency 4       8    226   ±  55.2    587     43.4    2.2  152       4.3     23.7  16.0
240/s poisson       1  1,494   ± 413    3,857    284     14.2  994      28.4    173     2.00
25.0/s poisson      1     19.0 ±   5.3     48.8    –      –      –       –        –     –
                    8     60.0 ±   3.6     66.0    –      –      –       –        –     –
                  all     27.2 ±  17.2     66.0    5.2    0.3   18.2     0.5      3.0   4.84

load            batch  scheduled   ok  failed  dropped  late
────────────────────────────────────────────────────────────
240/s poisson       1      1,200  590       0      610     3
25.0/s poisson      1        103  100       3        0     0
                  all        128  125       3        0     0
dropped: never sent, the in-flight cap was full · late: sent more than 1 ms after its arrival ·
messages: warm-up included
batch mix 1=80,8=20, 25.0/s poisson: 3 × UNAVAILABLE connection to 127.0.0.1:8001 was closed

Latency counts from the intended arrival to the answer; in closed loop that is the service latency.
queue to output: Triton's own means, warm-up included; network: the rest, the client included; batch
  run: as executed.
~ fewer than 5 requests lie above this percentile: it hangs on single requests; measure longer (-p)
  to rely on it.

Audit: Triton counted exactly the requests and inferences that we did in 4 of 5 steps.
Audit skipped, batch mix 1=80,8=20, 25.0/s poisson: connections were lost during the step.
Generator: at most 12 % of a processor, send lag p99 at most 40 µs.

Doubtful
• batch 1, 240/s poisson: the server was overloaded: 610 arrivals (50.8 %) were dropped at the
  in-flight cap, and latency holds the others only
  → lower the rate, or raise --max-in-flight to see the backlog grow
• batch mix 1=80,8=20, 25.0/s poisson: 3 requests failed (2.34 %): UNAVAILABLE 3
  → see the server's log

Threshold p99(latency) < 100ms: missed (measured 0.174)
Result: valid, but not all thresholds were met
Saved in results/20231114T221320Z-sr-4f2a/
"""


def rendered(**changes: Any) -> str:
    return render_result(summary.build(replace(example_run(), **changes)), FOLDER)


def test_the_example_reads_as_it_should() -> None:
    assert rendered() == GOLDEN


def test_every_line_fits_and_none_ends_in_spaces() -> None:
    for budget in (None, 20_000_000):
        for line in rendered(latency_threshold_ns=budget).splitlines():
            assert len(line) <= WIDTH
            assert line == line.rstrip()


def test_a_narrow_width_leaves_out_the_bars() -> None:
    text = render_result(summary.build(example_run()), width=90)
    assert "█" not in text
    assert "█" in render_result(summary.build(example_run()), width=120)


def test_one_model_batch_and_loop_say_no_more_than_needed() -> None:
    step = outcome_of(
        0, "concurrency 1", flow_of(SMALL, users=1), {SMALL: series_of(SMALL, 2000, 0.138)}, latency_ms=0.138
    )
    text = rendered(steps=(step,), verdict=step.verdict)
    assert "requests/s" in text and "infer  " not in text.splitlines()[4]
    assert "latency, µs" in text
    assert "Closed loop: a request is sent when another is answered" in text
    assert "dropped" not in text and "Doubtful" not in text
    assert text.endswith(f"Result: valid\nSaved in {FOLDER}\n")


def test_hits_of_the_response_cache_have_a_column() -> None:
    run = example_run()
    split = replace(run.steps[0].server["espcn"], cache_hits=154)
    text = rendered(steps=(replace(run.steps[0], server={"espcn": split}),))
    assert "49.8 %" in text
    assert "hits: answered from Triton's response cache" in text


def test_a_run_in_which_nothing_succeeded_still_has_its_table() -> None:
    series = replace(series_of(SMALL, 0, 1), scheduled=9, failed={"UNAVAILABLE": 9})
    step = outcome_of(0, "concurrency 1", flow_of(SMALL, users=1), {SMALL: series}, latency_ms=1)
    text = rendered(steps=(replace(step, server={}, audits={}),))
    assert "–" in text
    assert "Audit: not held against the server's own count." in text


def test_a_run_without_steps_says_why() -> None:
    reason = Reason(
        "nothing_measured", INVALID, None, "the run ended before anything was measured", "let it run"
    )
    verdict = replace(example_run().verdict, valid=False, reasons=(reason,), thresholds=())
    text = rendered(steps=(), verdict=verdict)
    assert "Invalid\n• the run ended before anything was measured\n  → let it run\n" in text
    assert "Result: NOT VALID, see the reasons above" in text


def test_a_reason_of_many_steps_is_told_once() -> None:
    reasons = tuple(Reason("generator_busy", DOUBTFUL, f"step {i}", "busy", "add workers") for i in range(6))
    text = rendered(verdict=replace(example_run().verdict, reasons=reasons))
    assert text.count("add workers") == 1
    assert "• step 0: busy\n  also in step 1 · step 2 · step 3 and 2 more\n  → add workers\n" in text


def test_an_audit_that_differs_is_named() -> None:
    run = example_run()
    audit = replace(run.steps[0].audits["espcn"], server=310, equal=False)
    text = rendered(steps=(replace(run.steps[0], audits={"espcn": audit}),))
    assert "Audit, batch 1, concurrency 1: Triton counted otherwise than we did, see below." in text


def test_several_flows_have_each_its_own_load_and_one_audit() -> None:
    """And the row for the whole their sum; an arrival that made no request has no model and no batch."""
    a, b = (replace(flow_of(cls, users=n), name=name) for cls, n, name in ((SMALL, 1, "A"), (LARGE, 3, "B")))
    step = outcome_of(0, "concurrency 4", a, {SMALL: series_of(SMALL, 40, 20)}, latency_ms=20)
    totals = {
        **step.result.totals,
        ("B", LARGE): series_of(LARGE, 10, 60),
        ("B", UNKNOWN_CLASS): replace(series_of(UNKNOWN_CLASS, 0, 1), scheduled=2, failed={"NO_REQUEST": 2}),
    }
    result = replace(step.result, step=replace(step.result.step, flows=(a, b)), totals=totals)
    text = rendered(steps=(replace(step, result=result),))
    for label in (
        "concurrency 1  A     espcn      1  1x224x224  40.0",
        "concurrency 3  B     espcn      8  1x224x224  10.0",
        "               B     –          –              0",
        "concurrency 4  all   all      all  all        50.0",
    ):
        assert f"\n{label}" in text
    assert "Audit: Triton counted exactly the requests and inferences that we did in every step." in text


def test_thresholds_have_their_outcome() -> None:
    thresholds = (Threshold("p99 < 50ms", 0.01, True), Threshold("failed < 1%", None, None))
    text = rendered(verdict=replace(example_run().verdict, thresholds=thresholds))
    assert "Threshold p99 < 50ms: met (measured 0.01)\n" in text
    assert "Threshold failed < 1%: not decided\n" in text


def test_a_pipe_gets_plain_text_whatever_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_result(summary.build(example_run()), FOLDER, stream)
    stream.flush()
    text = raw.getvalue().decode()
    assert "\x1b" not in text
    assert "Saved in" in text
    assert len(text.splitlines()) == len(GOLDEN.splitlines())


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colours_unless_no_color_is_set(
    no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    print_result(summary.build(example_run()), FOLDER, stream)
    assert ("\x1b[33m" in stream.getvalue()) is not no_color
    assert "concurrency 64" in stream.getvalue()


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (1, "Tasks raised an exception: it is in the log."),
        (1234, "Tasks raised 1,234 exceptions: the first of each kind is in the log."),
    ],
)
def test_exceptions_of_tasks_are_told(count: int, line: str) -> None:
    assert "Tasks raised" not in render_result(summary.build(example_run()))
    assert line in render_result(summary.build(replace(example_run(), exceptions=count))).splitlines()
