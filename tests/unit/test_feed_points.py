"""Points: their text, their numbers against the histograms, and their names against the schema."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.feed_example import OK_OF_SECOND, RUN, WORKERS, lines_of, window_of
from tests.unit.test_report_example import SMALL, ZERO_NS
from triton_users.metrics import BY_NAME, EDGES_NS
from triton_users.sinks.events import lost_line
from triton_users.sinks.points import point
from triton_users.sinks.points_line import Points
from triton_users.sinks.points_schema import BUCKETS, MEASUREMENTS, PHASES, document
from triton_users.sinks.points_window import up_to_edges
from triton_users.stats.histogram import from_values
from triton_users.stats.lines import Line
from triton_users.stats.timeline import Timeline
from triton_users.stats.window import Key, Series
from triton_users.units import NS_PER_S

_LINE = re.compile(r"((?:[^ \\]|\\.)+) (.+) (\d+)")


def parsed(line: str) -> tuple[str, dict[str, str], dict[str, str], int]:
    """Measurement, tags, fields and time; for lines without commas and equals signs in their texts."""
    found = _LINE.fullmatch(line)
    assert found is not None, line
    name, *tags = re.split(r"(?<!\\),", found[1])
    fields = re.findall(r'([^=,]+)=("(?:[^"\\]|\\.)*"|[^,]*)', found[2])
    return name, dict(re.split(r"(?<!\\)=", tag, maxsplit=1) for tag in tags), dict(fields), int(found[3])  # type: ignore[misc]


def points_of(seconds: int = 4) -> list[str]:
    made = Points(RUN, ZERO_NS, budget=True)
    return [text for line in lines_of(seconds) for text in made.of(dict(line))]


def last_of(points: list[str]) -> dict[tuple[str, frozenset[tuple[str, str]], int], dict[str, str]]:
    """As a database would hold them: a point's fields by its measurement, tags and time."""
    held: dict[tuple[str, frozenset[tuple[str, str]], int], dict[str, str]] = {}
    for text in points:
        name, tags, fields, at = parsed(text)
        held.setdefault((name, frozenset(tags.items()), at), {}).update(fields)
    return held


def test_text_is_escaped_and_types_are_kept() -> None:
    tags = {"b": "x y,z=1\n", "a": "µ\\", "empty": " "}
    fields = {"i": 3, "t": True, "f": 2.0, "s": 'say "no"\n', "none": None, "nan": float("nan"), "big": 2**70}
    assert point("m n", tags, fields, 5) == (
        f'm\\ n,a=µ/,b=x\\ y\\,z\\=1 i=3i,t=1i,f=2.0,s="say \\"no\\" ",big={2**63 - 1}i 5'
    )
    assert point("m", {}, {"none": None}, 5) is None


def test_every_name_is_in_the_schema_and_every_name_of_the_schema_is_used() -> None:
    used: dict[str, tuple[set[str], set[str]]] = {}
    for text in points_of():
        name, tags, fields, _ = parsed(text)
        known = used.setdefault(name, (set(), set()))
        known[0].update(tags)
        known[1].update(fields)
    for measurement in MEASUREMENTS:
        tags, fields = used.pop(measurement.name)
        named = {*measurement.fields, *(name for name, _ in measurement.own)}
        if measurement.name == "sample":
            assert {"run", "source", "host"} < tags
            continue
        assert tags == set(measurement.tags), measurement.name
        assert fields <= named, fields - named
        # The example has no composing model without figures, no clock of a worker and one value for the rest.
        unused = named - fields - {"network_client_ns", "goodput_rate", "stable", "clock_offset_ns"}
        assert unused <= {"clock_uncertainty_ns", "concurrency", "request_rate"}, (measurement.name, unused)
    assert not used


def test_every_field_is_a_metric_or_made_of_one() -> None:
    buckets = {name for _, name in BUCKETS}
    for measurement in MEASUREMENTS:
        for field in set(measurement.fields) - buckets:
            base = re.sub(r"_(count|(sum|min|mean|stddev|p[\d_]+|max)_ns)$", "", field)
            assert field in BY_NAME or BY_NAME[f"{base}_ns"].kind == "histogram", field


def test_the_page_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs/influxdb-schema.md"
    assert page.read_text(encoding="utf-8") == document(), "python -m triton_users.sinks.points_schema"


def test_a_second_is_one_point_per_class_and_phase_whatever_its_revision() -> None:
    held = last_of(points_of(seconds=4))
    windows = {
        key: fields for key, fields in held.items() if key[0] == "window" and dict(key[1])["phase"] in PHASES
    }
    assert len(windows) == 2 * (1 + 2 + 2 + 2)  # classes × phases of each second
    for (_, tags, at), fields in windows.items():
        assert ("step_name", "batch\\ 1") in tags
        assert (at - ZERO_NS) % NS_PER_S == 0
        assert fields["ok"] == f"{WORKERS * OK_OF_SECOND}i"
        assert fields["latency_count"] == fields["ok"] == fields["latency_le_100000ms"]
        assert fields["failed"] == "4i"
        assert fields["service_latency_p99_ns"] == fields["latency_p99_ns"]  # a closed loop


def fields_of(measurement: str, line: Line, *, budget: bool = True) -> dict[str, set[str]]:
    """The names of the fields of each flow (of each worker), once they are made."""
    found: dict[str, set[str]] = {}
    for text in Points(RUN, ZERO_NS, budget=budget).of(line):
        name, tags, fields, _ = parsed(text)
        if name == measurement:
            found.setdefault(tags.get("flow") or tags["worker"], set()).update(fields)
    return found


OWED = {Key("ImageUser", SMALL, 0): Series(scheduled=1, lost=1)}


def test_a_closed_loop_offers_no_rate_and_has_no_send_lag() -> None:
    (line,) = Timeline().add(window_of(0, 1))
    other = [one | {"flow": "Other"} for one in line["series"]]
    mixed = line | {"series": [*line["series"], *other]}
    of_rate = {"offered", "send_lag_count", "send_lag_p99_ns"}
    window = fields_of("window", mixed | {"open_loop": ["Other"]})
    assert of_rate <= window["Other"] and not of_rate & window["ImageUser"]
    assert "scheduled" in window["ImageUser"]
    assert "send_lag_p99_ns" in fields_of("worker", mixed | {"open_loop": ["Other"]})["0"]
    assert "send_lag_p99_ns" not in fields_of("worker", line | {"open_loop": []})["0"]
    assert of_rate <= fields_of("window", dict(line))["ImageUser"]  # a spool that does not tell
    for flows in ([], ["ImageUser"]):
        lost = fields_of("window", lost_line(0, "a", NS_PER_S, OWED, flows))["ImageUser"]
        assert ("offered" in lost) == bool(flows) and "lost" in lost


def test_without_a_latency_budget_there_is_no_goodput() -> None:
    (line,) = Timeline().add(window_of(0, 1))
    owed = lost_line(0, "a", NS_PER_S, OWED, [])
    for made in (dict(line), owed):
        assert "good" in fields_of("window", made)["ImageUser"]
        assert "good" not in fields_of("window", made, budget=False)["ImageUser"]


def test_what_a_step_lost_is_beside_its_seconds() -> None:
    lost = {
        dict(tags)["phase"]: (fields["scheduled"], fields["lost"], fields["ok"])
        for (name, tags, _), fields in last_of(points_of()).items()
        if name == "window" and fields["lost"] != "0i"
    }
    assert lost == {"warm_up_lost": ("7i", "7i", "0i"), "measured_lost": ("14i", "14i", "0i")}


def test_a_workers_missing_windows_are_told_and_found_again() -> None:
    timeline, made = Timeline(), Points(RUN, ZERO_NS, budget=True)
    found = []
    for second in (0, 2, 1):
        (line,) = timeline.add(window_of(0, second))
        found += [parsed(text)[2]["windows_missing"] for text in made.of(line) if text.startswith("worker")]
    assert found == ["0i", "1i", "0i"]


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_buckets_count_what_lies_below_their_edges(values: list[int]) -> None:
    array = np.array(values, np.int64)
    counts = up_to_edges(from_values(array))
    for edge, count in zip(EDGES_NS, counts.tolist(), strict=True):
        assert np.count_nonzero(array <= edge) <= count <= np.count_nonzero(array <= edge * 1.001)


def test_edges_are_few_and_log_spaced() -> None:
    ratios = [b / a for a, b in pairwise(EDGES_NS)]
    assert len(EDGES_NS) <= 40 and min(ratios) > 1.5 and max(ratios) < 1.7
    assert len({name for _, name in BUCKETS}) == len(EDGES_NS)


DAMAGED: list[dict[str, object]] = [
    {"kind": "window"},
    {"kind": "lost", "step": 0, "at_ns": 1},
    {"kind": "step", "step": 0, "rows": [], "start_ns": 0},
    {"kind": "event"},
    {"kind": "sample", "source": "a", "host": "b", "values": {"m": "x"}, "at_ns": 1},
]


@pytest.mark.parametrize("line", DAMAGED, ids=lambda line: line["kind"])
def test_a_line_that_is_not_what_it_promises_raises_plainly(line: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, IndexError)):
        Points(RUN, 0, budget=True).of(line)


def test_kinds_of_the_future_are_passed_over() -> None:
    assert Points(RUN, 0, budget=True).of({"kind": "new"}) == []
