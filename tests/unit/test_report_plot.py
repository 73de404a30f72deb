"""The picture of a run: well-formed, self-contained, and every value where its axis says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.test_report_example import example_run
from triton_users.report import summary
from triton_users.report.axes import linear_axis, linear_ticks, log_axis, log_ticks
from triton_users.report.plot import HEIGHT, WIDTH, render_svg, write
from triton_users.sinks.folder import ResultsError

SVG = "{http://www.w3.org/2000/svg}"


def test_every_answered_step_is_drawn_within_the_picture() -> None:
    text = render_svg(summary.build(example_run()))
    root = ET.fromstring(text)
    circles = [
        node for node in root.iter(f"{SVG}circle") if node.get("r") == "5" and node.get("fill") is None
    ]
    diamonds = list(root.iter(f"{SVG}path"))
    assert (len(circles), len(diamonds)) == (3, 4)
    for circle in circles:
        assert 0 < float(circle.get("cx", "0")) < WIDTH
        assert 0 < float(circle.get("cy", "0")) < HEIGHT
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert {"espcn on Triton 2.51.0", "latency, ms", "inferences per second", "batch 8", "64"} <= set(words)


def test_more_throughput_lies_to_the_right_and_more_latency_above() -> None:
    run = example_run()
    root = ET.fromstring(render_svg(summary.build(replace(run, steps=run.steps[:2]))))
    slow, fast = (node for node in root.iter(f"{SVG}circle") if node.get("fill") is None)
    assert float(slow.get("cx", "0")) < float(fast.get("cx", "0"))
    assert float(slow.get("cy", "0")) > float(fast.get("cy", "0"))


def test_names_are_escaped_and_nothing_is_no_error() -> None:
    built = summary.build(example_run())
    for row in built["steps"]:
        row["model"] = "a<b&c"
    ET.fromstring(render_svg(built))
    built["steps"] = []
    assert "No request was answered." in render_svg(built)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    built = summary.build(example_run())
    write(built, tmp_path / "summary.svg")
    assert (tmp_path / "summary.svg").read_text() == render_svg(built)
    with pytest.raises(ResultsError, match="cannot write"):
        write(built, tmp_path / "none" / "summary.svg")


def test_axes_begin_and_end_at_round_values() -> None:
    across = linear_axis([28.4, 33.6], 100, 500)
    assert (across.low, across.high) == (0, 40)
    assert (across.at(0), across.at(40), across.at(10)) == (100, 500, 200)
    assert across.ticks() == [0, 10, 20, 30, 40]
    up = log_axis([30.6, 1270], 400, 100)
    assert (up.low, up.high) == (20, 2000)
    assert up.at(200) == pytest.approx(250)
    assert log_ticks(20, 2000) == [20, 50, 100, 200, 500, 1000, 2000]
    assert log_ticks(1, 10_000) == [1, 10, 100, 1000, 10_000]
    assert linear_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_axes_of_nothing_are_axes() -> None:
    assert linear_axis([], 0, 1).high > 0
    assert log_axis([], 0, 1).low > 0
