"""Where options come from: command line, user class, web form, environment; and which one counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.options_reader import PARSER, faults, read
from triton_users import units
from triton_users.options import values as option_values
from triton_users.options.settings import Fault, OptionError, Settings
from triton_users.options.table import OPTIONS
from triton_users.units import RequestRate

S = units.NS_PER_S


def test_the_user_class_stands_in_where_nothing_is_given() -> None:
    defaults = {
        "host": "grpc://gpu1",
        "model": "espcn",
        "batch_size": (1, 8),
        "concurrency_range": range(1, 4),
        "request_rate_range": "50%",
        "measurement_interval": "3s",
        "shape": {"IN": (1, 64)},
        "input_count": 4,
        "save_requests": True,
        "warm_up": None,
        "seed": 0,
    }
    settings = read("", defaults)
    assert settings == replace(
        Settings(),
        host="gpu1:8001",
        model="espcn",
        batch_sizes=(1, 8),
        concurrency=(1, 2, 3),
        request_rates=(RequestRate(50, percent=True),),
        interval_ns=3 * S,
        shapes=(("IN", (1, 64)),),
        input_count=4,
        save_requests=True,
        seed=0,
    )
    assert read("-m other --input-count 8 -H x:1 --seed 7", defaults) == replace(
        settings, model="other", input_count=8, host="x:1", seed=7
    )
    assert read("", {"batch_mix": {1: 80, 8: 20}}).batch_mix == ((1, 80), (8, 20))
    assert read("", {"shape_mix": {"IN:1x64": 70.5}}).shape_mix == (((("IN", (1, 64)),), 70.5),)
    assert read("", {"shape": ["A:3", "B:1,2"]}).shapes == (("A", (3,)), ("B", (1, 2)))
    assert faults("", {"dry_run": "yes"}) == [
        "dry_run of the user class: 'yes' is neither True nor False. To do: write True or False."
    ]


PLAN = {"batch_size": "1,8", "concurrency_range": "1,4", "request_rate_range": "50%"}
HALF = (RequestRate(50, percent=True),)


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("", {}),
        ("-b 4", {"batch_sizes": (4,)}),
        ("--batch-mix 1=1,8=1", {"batch_sizes": (1,), "batch_mix": ((1, 1.0), (8, 1.0))}),
        ("--concurrency-range 2", {"concurrency": (2,), "request_rates": ()}),
        ("--request-rate-range 5", {"concurrency": (), "request_rates": (RequestRate(5),)}),
        ("--request-rate-range 70%", {"request_rates": (RequestRate(70, percent=True),)}),
        ("-u 3", {"users": 3, "batch_sizes": (1,), "concurrency": (), "request_rates": ()}),
        ("-u 3 -b 8", {"users": 3, "batch_sizes": (8,), "concurrency": (), "request_rates": ()}),
        ("-t 10", {"run_time_ns": 10 * S}),
    ],
)
def test_what_is_given_replaces_that_part_of_the_user_class_plan(line: str, changed: dict[str, Any]) -> None:
    default = replace(Settings(), batch_sizes=(1, 8), concurrency=(1, 4), request_rates=HALF)
    assert read(line, PLAN) == replace(default, **changed)


@pytest.mark.parametrize(
    ("line", "defaults", "filled_in", "users", "concurrency"),
    [
        ("-u 1", PLAN, 1, None, (1, 4)),  # the form's own number: the user class's plan
        ("-u 5", PLAN, 1, 5, ()),  # a number typed into the form
        ("-u 1 -r 1", {}, 1, 1, ()),  # no range anywhere: the number counts
        ("-u 5 --concurrency-range 2", {}, 1, None, (2,)),  # a range typed into the form
        ("-u 5 -b 8", {}, 1, 5, ()),
        ("-u 1 -b 1,8", {}, 1, None, ()),  # a part of a plan: nobody meant a step without an end
        ("-u 1 -p 2s", {}, 1, None, ()),
    ],
)
def test_the_number_of_users_in_the_web_form(
    line: str, defaults: dict[str, Any], filled_in: int, users: int | None, concurrency: tuple[int, ...]
) -> None:
    settings = read(line, defaults, filled_in_users=filled_in)
    assert (settings.users, settings.concurrency) == (users, concurrency)


def test_values_as_the_web_form_leaves_them() -> None:
    options = PARSER.parse_args([])
    for option in OPTIONS:
        if option.parse is not None:
            setattr(options, option.dest, "")  # a field that was left empty
    assert Settings.read(options) == Settings()
    options.dry_run, options.realtime, options.seed = "true", "false", "0"
    options.shape = ["IN:1", "3", "A:4"]  # the form joins a list by commas and Locust splits it
    settings = Settings.read(options)
    assert (settings.dry_run, settings.realtime, settings.seed) == (True, False, 0)
    assert settings.shapes == (("A", (4,)), ("IN", (1, 3)))
    options.batch_size = "BOGUS"
    with pytest.raises(OptionError) as error:
        Settings.read(options)
    assert error.value.faults == (
        Fault("--batch-size", "'BOGUS' is not a whole number", "write for example 8, or 1,8, or 1:16:5"),
    )


def test_the_environment_gives_options_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_BATCH_SIZE", "4")
    monkeypatch.setenv("LOCUST_DRY_RUN", "true")
    monkeypatch.setenv("LOCUST_SHAPE", "[IN:1x3, B:2]")
    settings = read("")
    assert (settings.batch_sizes, settings.dry_run) == ((4,), True)
    assert settings.shapes == (("B", (2,)), ("IN", (1, 3)))
    assert read("-b 2").batch_sizes == (2,)


@given(st.dictionaries(st.integers(1, 10**6), st.integers(1, 10**6), min_size=1, max_size=5))
def test_batch_mixes_read_back(mix: dict[int, int]) -> None:
    assert read("", {"batch_mix": mix}).batch_mix == tuple((size, float(w)) for size, w in mix.items())


names = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="_:/"), min_size=1)


@given(st.dictionaries(names, st.lists(st.integers(1, 999), max_size=4), max_size=4))
def test_shapes_read_back(shapes: dict[str, list[int]]) -> None:
    expected = tuple(sorted((name, tuple(dims)) for name, dims in shapes.items()))
    assert read("", {"shape": shapes}).shapes == expected
    text = ",".join(f"{name}:{','.join(map(str, dims))}" for name, dims in shapes.items())
    assert not shapes or option_values.shapes(text) == expected
