"""The option table: in Locust's own parser and form, as Settings, and on their way to a worker."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace

import msgpack
import pytest

from tests.unit.options_reader import PARSER, locust_parser, read
from triton_users import units
from triton_users.options.settings import OptionError, Settings
from triton_users.options.table import GROUPS, OPTIONS
from triton_users.units import RequestRate

MS, S = units.NS_PER_MS, units.NS_PER_S


def test_nothing_given_is_the_table() -> None:
    assert read("") == Settings()


def test_the_table_and_settings_have_the_same_fields_and_defaults() -> None:
    of_locust = {"host", "users", "spawn_rate", "run_time_ns", "exit_code_on_error"}
    settings = Settings()
    assert {option.field for option in OPTIONS} | of_locust == {field.name for field in fields(Settings)}
    for option in OPTIONS:
        assert getattr(settings, option.field) == option.default, option.name
        assert option.group in GROUPS
        assert option.parse is None or (option.advice and option.metavar)
    assert len({option.dest for option in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("-m espcn", "model", "espcn"),
        ("--model espcn", "model", "espcn"),
        ("--model-version 2", "model_version", "2"),
        ("-b 1,8", "batch_sizes", (1, 8)),
        ("-b 1:16:5", "batch_sizes", (1, 6, 11, 16)),
        ("--concurrency-range 1:11:2", "concurrency", (1, 3, 5, 7, 9, 11)),
        ("--request-rate-range 5,10,20", "request_rates", (RequestRate(5), RequestRate(10), RequestRate(20))),
        (
            "--request-rate-range 10:30:10",
            "request_rates",
            (RequestRate(10), RequestRate(20), RequestRate(30)),
        ),
        ("--request-distribution constant", "distribution", "constant"),
        ("--warm-up 3", "warm_up_ns", 3 * S),
        ("--warm-up 0", "warm_up_ns", 0),
        ("-p 2500", "interval_ns", 2500 * MS),
        ("--measurement-interval 2s", "interval_ns", 2 * S),
        ("--batch-mix 1=80,8=20", "batch_mix", ((1, 80.0), (8, 20.0))),
        (
            "--shape-mix IN:1x64=70,IN:1x512=30",
            "shape_mix",
            (((("IN", (1, 64)),), 70.0), ((("IN", (1, 512)),), 30.0)),
        ),
        ("--shape-mix B:2+A:1x64=1", "shape_mix", (((("A", (1, 64)), ("B", (2,))), 1.0),)),
        ("--shape IN:1,64 --shape A:3", "shapes", (("A", (3,)), ("IN", (1, 64)))),
        ("--shape input:0:1,64", "shapes", (("input:0", (1, 64)),)),
        ("--shape SCALAR:", "shapes", (("SCALAR", ()),)),
        ("--input-data zero", "input_data", "zero"),
        ("--string-length 0", "string_length", 0),
        ("--input-count 5", "input_count", 5),
        ("--seed 0", "seed", 0),
        ("--latency-threshold 100", "latency_threshold_ns", 100 * MS),
        ("--latency-threshold 1.5s", "latency_threshold_ns", 1500 * MS),
        ("--request-timeout 2", "request_timeout_ns", 2 * S),
        ("--max-in-flight 9", "max_in_flight", 9),
        ("--drain-timeout 0", "drain_ns", 0),
        ("--wait-ready 1m", "wait_ready_ns", 60 * S),
        ("--results out", "results", "out"),
        ("--save-requests", "save_requests", True),
        ("--dry-run", "dry_run", True),
        ("--realtime", "realtime", True),
        ("--connections 4", "connections", 4),
        ("-u 4", "users", 4),
        ("-t 1m30s", "run_time_ns", 90 * S),
        ("--exit-code-on-error 0", "exit_code_on_error", 0),
        ("-H grpc://server", "host", "server:8001"),
        ("-H server:9001", "host", "server:9001"),
        ("-H grpc://server:9001/", "host", "server:9001"),
        ("-H [::1]", "host", "[::1]:8001"),
        ("-H [::1]:9001", "host", "[::1]:9001"),
    ],
)
def test_each_option_sets_its_field_and_no_other(line: str, field: str, value: object) -> None:
    assert read(line) == replace(Settings(), **{field: value})


def test_users_come_at_a_rate() -> None:
    assert read("-u 4 -r 2.5") == replace(Settings(), users=4, spawn_rate=2.5)


def test_the_parser_gives_only_what_a_message_can_carry() -> None:
    line = "-m a -b 1,8 --shape IN:1,3 --shape B:2 --dry-run -p 5 --seed 3"
    options = vars(PARSER.parse_args(line.split()))
    own = {option.dest: options[option.dest] for option in OPTIONS}
    assert msgpack.unpackb(msgpack.packb(own)) == own
    assert own["shape"] == ["IN:1,3", "B:2"]
    assert own["measurement_interval"] == "5"


def test_every_option_but_those_of_the_command_line_alone_reaches_the_web_form() -> None:
    assert [option.dest for option in OPTIONS if not option.in_form] == [
        *("results", "influx_url", "influx_bucket", "influx_org", "influx_token_file", "influx_drain"),
        *("dry_run", "metrics_url", "agent", "agent_token_file"),
    ]
    for option in OPTIONS:
        if not option.in_form:
            assert option.dest not in PARSER.args_included_in_web_ui
            continue
        action = PARSER.args_included_in_web_ui[option.dest]
        assert (action.is_secret, action.is_required, action.is_multiple) == (False, False, False)
        assert "%%" not in option.help  # the form shows the help unformatted
    assert not PARSER.secret_args_included_in_web_ui


def test_the_parser_is_filled_in_without_clashes_and_more_than_once() -> None:
    assert locust_parser().format_help().count("--concurrency-range") >= 1
    own = [flag for option in OPTIONS for flag in option.flags]
    strings = [flag for action in PARSER._actions for flag in action.option_strings]
    assert len(strings) == len(set(strings)) and set(own) <= set(strings)
    for title in GROUPS:
        assert title in PARSER.format_help()


def test_locusts_options_that_other_programs_lack_may_be_missing() -> None:
    assert Settings.read(argparse.Namespace()) == Settings()
    with pytest.raises(OptionError) as error:
        Settings.read(argparse.Namespace(run_time="soon"))
    assert str(error.value).startswith("--run-time: 'soon' is not a duration")


def test_settings_travel() -> None:
    settings = read("-b 1,8 --concurrency-range 1 --request-rate-range 5,50% --shape A:1,2 --seed 0")
    assert Settings.from_plain(msgpack.unpackb(msgpack.packb(settings.plain()))) == settings
    assert Settings.from_plain(json.loads(json.dumps(settings.plain()))) == settings
