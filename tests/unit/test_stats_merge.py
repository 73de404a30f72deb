"""Series, windows and lines: what goes in comes out, and sums do not depend on the order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.sinks.spool import to_json
from triton_users.stats import codec
from triton_users.stats.histogram import EMPTY, HIGHEST_NS, from_values, merge
from triton_users.stats.lines import line_of, line_series
from triton_users.stats.merge import COUNTERS, SeriesSum, merge_series
from triton_users.stats.messages import Messages
from triton_users.stats.sequences import Sequences
from triton_users.stats.window import Generator, Hist, Key, Series, Window
from triton_users.step import RequestClass

CLASSES = [
    RequestClass("m", 1),
    RequestClass("m", 8, (("in", (3, 224, 224)), ("mask", ()))),
    RequestClass("n", 2),
]

HISTS = st.lists(st.integers(0, HIGHEST_NS + 5) | st.integers(0, 3000), min_size=1, max_size=8).map(
    lambda values: from_values(np.array(values))
)
SERIES = st.builds(
    Series,
    **{name: st.integers(0, 10**6) for name in COUNTERS},
    failed=st.dictionaries(st.sampled_from(["INTERNAL", "UNAVAILABLE"]), st.integers(1, 9), max_size=2),
    hists=st.dictionaries(st.sampled_from(["latency", "send_lag"]), HISTS, max_size=2),
)
KEYS = st.builds(Key, st.sampled_from(["f", "g"]), st.sampled_from(CLASSES), st.integers(-1, 3))


def plain(value: object) -> object:
    """The same as nested tuples and lists, which compare."""
    if isinstance(value, Hist):
        return (value.index.tolist(), value.count.tolist(), *(getattr(value, n) for n in Hist.__slots__[2:]))
    if isinstance(value, Series):
        hists = {name: plain(hist) for name, hist in value.hists.items()}
        return ([getattr(value, name) for name in COUNTERS], value.failed, hists)
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    assert isinstance(value, Window)
    return (plain(value.series), *(getattr(value, n) for n in Window.__slots__ if n != "series"))


def window(series: dict[Key, Series] | None = None, **changes: int) -> Window:
    base = Window(
        3,
        4,
        5,
        6,
        7,
        8,
        series or {},
        9,
        10,
        11,
        Generator(0.25, 12, 13, 14),
        (("INTERNAL", "é", 2),),
        (("f", -2, 3),),
        (15, 16),
        (17, 18),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(parts=st.lists(SERIES, max_size=5), order=st.randoms(use_true_random=False))
def test_a_sum_of_series_is_exact_in_any_order(parts, order) -> None:
    total = merge_series(parts)
    for name in COUNTERS:
        assert getattr(total, name) == sum(getattr(part, name) for part in parts)
    for status in ("INTERNAL", "UNAVAILABLE"):
        assert total.failed.get(status, 0) == sum(part.failed.get(status, 0) for part in parts)
    for name in ("latency", "send_lag"):
        mine = [part.hists[name] for part in parts if name in part.hists]
        assert (name in total.hists) == bool(mine)
        if mine:
            assert plain(total.hists[name]) == plain(merge(mine))
    order.shuffle(parts)
    assert plain(merge_series([merge_series(parts[:2]), merge_series(parts[2:])])) == plain(total)


def test_a_long_sum_holds_few_histograms() -> None:
    total = SeriesSum()
    for i in range(1000):
        total.add(Series(ok=1, hists={"latency": from_values(np.array([i]))}))
    assert len(total._hists["latency"]) <= 32
    assert total.value().hists["latency"].total == 1000
    assert plain(total.value()) == plain(total.value())


@settings(max_examples=60)
@given(series=st.dictionaries(KEYS, SERIES, max_size=4), seq=st.integers(0, 2**40))
def test_a_window_survives_the_codec_in_every_field(series, seq) -> None:
    sent = window(series, seq=seq, start_ns=-1, end_ns=2**60)
    got = codec.decode(codec.encode(sent))
    assert plain(got) == plain(sent)
    for one in got.series.values():
        for hist in one.hists.values():
            assert (hist.index.dtype, hist.count.dtype) == (np.uint16, np.uint32)


def test_an_empty_histogram_survives_the_codec() -> None:
    key = Key("f", CLASSES[0], 0)
    got = codec.decode(codec.encode(window({key: Series(hists={"latency": EMPTY})})))
    assert plain(got.series[key].hists["latency"]) == plain(EMPTY)


def test_counts_beyond_32_bits_survive_the_codec() -> None:
    hist = Hist(
        np.array([0, 7], np.uint16), np.array([1, 2**40], np.uint64), 2**40 + 1, 7 << 40, 49 << 40, 0, 7
    )
    key = Key("f", CLASSES[0], 0)
    got = codec.decode(codec.encode(window({key: Series(hists={"latency": hist})})))
    assert plain(got.series[key].hists["latency"]) == plain(hist)


@pytest.mark.parametrize(("requests", "most_bytes"), [(100, 1200), (1000, 9000), (10_000, 30_000)])
def test_a_window_of_one_class_is_small(requests: int, most_bytes: int) -> None:
    rng = np.random.default_rng(0)
    lag, service = rng.exponential(40_000, requests), rng.gamma(4, 100_000, requests)
    hists = {
        name: from_values(values.astype(np.int64))
        for name, values in (("send_lag", lag), ("service_latency", service), ("latency", lag + service))
    }
    assert len(codec.encode(window({Key("f", CLASSES[1], 0): Series(hists=hists)}))) < most_bytes


@pytest.mark.parametrize("data", [b"", b"junk", codec.encode(window())[:-3], b"\x93\x04\x02\x03"])
def test_what_is_no_window_is_refused(data: bytes) -> None:
    with pytest.raises(codec.CodecError, match="not a window"):
        codec.decode(data)


def test_another_format_is_named() -> None:
    with pytest.raises(codec.CodecError, match="format 2"):
        codec.decode(codec.msgpack.packb([2]))


@settings(max_examples=40)
@given(series=st.dictionaries(KEYS, SERIES, max_size=3))
def test_a_line_survives_json(series) -> None:
    generators = [{"worker": 0, "seq": 0, "start_ns": 1, "end_ns": 2, "in_flight_end": 3, "users": 4}]
    line = line_of((1, 2), 0, series, generators, [("INTERNAL", "x", 1)])
    assert plain(line_series(line)) == plain(series)
    assert plain(line_series(orjson.loads(to_json(line)))) == plain(series)


def test_integers_that_json_readers_would_round_are_strings() -> None:
    hist = from_values(np.array([HIGHEST_NS] * 3))
    line = line_of(
        (0, 0),
        0,
        {Key("f", CLASSES[0], 0): Series(hists={"latency": hist})},
        [dict.fromkeys(("worker", "seq", "start_ns", "end_ns", "in_flight_end", "users"), 0)],
        [],
    )
    found = line["series"][0]["hists"]["latency"]
    assert found["sum"] == 3 * HIGHEST_NS
    assert found["sum_squares"] == str(3 * HIGHEST_NS**2)


def test_sequences_tell_what_is_missing() -> None:
    sequences = Sequences()
    assert [sequences.add(1, seq) for seq in (0, 1, 4, 1, 4)] == [True, True, True, False, False]
    assert sequences.missing(1) == [2, 3]
    sequences.last(1, 6)
    assert sequences.missing(1, since=3) == [3, 5, 6]
    for seq in (3, 2, 6, 5):
        assert sequences.add(1, seq)
    assert sequences.missing(1) == []
    assert not sequences._ahead[1]
    assert sequences.missing(2) == []
    assert sequences.workers() == [1]


def test_messages_merge_within_their_bounds() -> None:
    messages = Messages()
    for worker in range(3):
        messages.extend(
            [("INTERNAL", f"{worker}-{i}", 2) for i in range(5)] + [("INTERNAL", "(other messages)", 7)]
        )
    assert len(messages.listed()) == 6
    assert sum(count for _, _, count in messages.listed()) == 3 * 17
