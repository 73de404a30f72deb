"""Options: the table in Locust's own parser, settings out of it, every fault and its sentence."""

# ruff: noqa: E501 - sentences that a user reads are asserted whole, one case a line

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users import units
from triton_users.options import values as option_values
from triton_users.options.habits import perf_analyzer_habits
from triton_users.options.settings import Fault, OptionError, Settings
from triton_users.options.table import GROUPS, OPTIONS, add_options
from triton_users.units import RequestRate

MS, S = units.NS_PER_MS, units.NS_PER_S


def locust_parser() -> Any:
    from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

    parser = get_empty_argument_parser(add_help=True, default_config_files=[])
    setup_parser_arguments(parser)
    add_options(parser)
    return parser


PARSER = locust_parser()


def read(line: str, defaults: dict[str, Any] | None = None, **more: Any) -> Settings:
    return Settings.read(PARSER.parse_args(line.split()), defaults or {}, **more)


def faults(line: str, defaults: dict[str, Any] | None = None, **more: Any) -> list[str]:
    with pytest.raises(OptionError) as error:
        read(line, defaults, **more)
    assert str(error.value) == "\n".join(str(fault) for fault in error.value.faults)
    return [str(fault) for fault in error.value.faults]


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
        ("-r 2.5", "spawn_rate", 2.5),
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


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--model-version x", "--model-version: 'x' is not a whole number. To do: leave it out for the version that Triton chooses."),
        ("--model-version 0", "--model-version: '0': versions start at 1. To do: leave it out for the version that Triton chooses."),
        ("-b 0", "--batch-size: a batch size of 0 is not possible. To do: write for example 8, or 1,8, or 1:16:5."),
        ("-b 1.5", "--batch-size: '1.5' is not a whole number. To do: write for example 8, or 1,8, or 1:16:5."),
        ("--concurrency-range 0:4", "--concurrency-range: a concurrency of 0 is not possible. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--concurrency-range 9:4", "--concurrency-range: '9:4': the end 4 lies before the start 9. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--concurrency-range 1:4:0", "--concurrency-range: '1:4:0': the step is 0. To do: write for example 4, or 1,4,16, or 1:11:2."),
        ("--request-rate-range 0", "--request-rate-range: a rate of 0/s is not above 0. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range=-5", "--request-rate-range: '-5' is not a number. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 0%", "--request-rate-range: a rate of 0 % is not above 0. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 1e10", "--request-rate-range: a rate of 1e+10 is too large. To do: write for example 20, or 5,10,20, or 10:50:10, or 50%."),
        ("--request-rate-range 50%", "--request-rate-range: 50% is a share of the best closed-loop rate, and no concurrency is given. To do: give --concurrency-range too, or rates per second."),
        ("--request-distribution gauss", "--request-distribution: 'gauss' is unknown. To do: write poisson or constant."),
        ("--warm-up x", "--warm-up: 'x' is not a duration: a number with ns, us, ms, s, m or h, such as 500ms or 5s. To do: write for example 500ms or 5s; a bare number is seconds."),
        ("-p 0.5", "--measurement-interval: '0.5' is shorter than 1 ms. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("-p 500h", ""),
        ("-p 9000h", "--measurement-interval: '9000h' is longer than a year. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("--latency-threshold 0", "--latency-threshold: '0' is not above 0. To do: write for example 500ms or 5s; a bare number is milliseconds, as in Perf Analyzer."),
        ("--request-timeout 0", "--request-timeout: '0' is not above 0. To do: write for example 500ms or 5s; a bare number is seconds."),
        ("--batch-mix 1=80,8", "--batch-mix: '8' has no weight. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=0,8=1", "--batch-mix: '1=0': the weight is not above 0. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=-2", "--batch-mix: '-2' is not a number. To do: write for example 1=80,8=20."),
        ("--batch-mix 0=2", "--batch-mix: 0 is less than 1. To do: write for example 1=80,8=20."),
        ("--batch-mix 1=2,1=3", "--batch-mix: '1=2,1=3': a batch size stands in it twice. To do: write for example 1=80,8=20."),
        ("--shape-mix IN:1x64", "--shape-mix: 'IN:1x64' has no weight. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape-mix IN:1=1,IN:1=2", "--shape-mix: 'IN:1=1,IN:1=2': a shape stands in it twice. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape-mix A:1=1,B:1=2", "--shape-mix: 'A:1=1,B:1=2': every entry must set the same inputs. To do: write for example IN:1x64=70,IN:1x512=30."),
        ("--shape IN", "--shape: 'IN' is not NAME:shape. To do: write for example --shape IN:1,64."),
        ("--shape IN:0,3", "--shape: 'IN:0,3': a dimension is less than 1. To do: write for example --shape IN:1,64."),
        ("--shape IN:1 --shape IN:2", "--shape: 'IN:1,IN:2': an input stands in it twice. To do: write for example --shape IN:1,64."),
        ("--shape IN:1,x", "--shape: '' is not a whole number. To do: write for example --shape IN:1,64."),
        ("--input-data file.json", "--input-data: 'file.json' is unknown. To do: write random or zero."),
        ("--string-length x", "--string-length: 'x' is not a whole number. To do: write a whole number."),
        ("--input-count 0", "--input-count: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--max-in-flight 0", "--max-in-flight: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--connections 0", "--connections: 0 is less than 1. To do: write a whole number from 1 on."),
        ("--connections 3000000000", "--connections: 3000000000 is too large. To do: write a whole number from 1 on."),
        ("--seed 1.5", "--seed: '1.5' is not a whole number. To do: write a whole number below 2^63."),
        ("--seed 999999999999999999999", "--seed: '999999999999999999999' is not a whole number. To do: write a whole number below 2^63."),
        ("-u 0", "--users: 0 is less than 1. To do: give a number of users from 1 on."),
        ("-u 4 --concurrency-range 1:4", "--users: -u 4 asks for one step, a range asks for its own. To do: leave out -u, or the range, or write --concurrency-range 4."),
        ("-u 4 --request-rate-range 5", "--users: -u 4 asks for one step, a range asks for its own. To do: leave out -u, or the range, or write --concurrency-range 4."),
        ("-r 4 --concurrency-range 1:4", "--spawn-rate: -r is how fast Locust starts users, and a range has no use for it. To do: leave out -r (Perf Analyzer's -r, --max-trials, does not exist here)."),
        ("-u 4 -b 1,8", "--batch-size: a step at -u lasts until -t, so there is no second batch size. To do: give one batch size, or --concurrency-range 4 instead of -u."),
        ("-u 4 -p 2s", "--measurement-interval: a step at -u lasts until -t. To do: give -t, or --concurrency-range 4 instead of -u."),
        ("-b 1 --batch-mix 1=1", "--batch-mix: the batch size is either drawn (--batch-mix) or measured in turn (--batch-size). To do: leave out one of the two."),
        ("--shape IN:1 --shape-mix IN:1=1,IN:2=1", "--shape: the shape of 'IN' is drawn by --shape-mix. To do: leave it out of one of the two."),
        ("-H http://server:8000", "--host: http:// is an HTTP address, and requests go by gRPC. To do: give Triton's gRPC address as HOST:8001."),
        ("-H https://server", "--host: https:// is an HTTP address, and requests go by gRPC. To do: give Triton's gRPC address as HOST:8001."),
        ("-H unix://server", "--host: unix:// is unknown. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server:x", "--host: 'server:x': 'x' is not a port. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server:70000", "--host: 'server:70000': '70000' is not a port. To do: give Triton's gRPC address as HOST:8001."),
        ("-H ::1", "--host: '::1': write an IPv6 address in brackets, as in [::1]:8001. To do: give Triton's gRPC address as HOST:8001."),
        ("-H :8001", "--host: ':8001' has no host. To do: give Triton's gRPC address as HOST:8001."),
        ("-H server/path", "--host: it is not HOST:PORT. To do: give Triton's gRPC address as HOST:8001."),
        ("-H grpc://me:secret@server", "--host: it is not HOST:PORT. To do: give Triton's gRPC address as HOST:8001."),
    ],
)  # fmt: skip
def test_each_fault_has_its_sentence(line: str, fault: str) -> None:
    if fault:
        assert faults(line) == [fault]
    else:
        read(line)


def test_all_faults_come_at_once() -> None:
    found = faults(
        "-b 0 --concurrency-range 4:1 --seed x -p 0 -H http://a:8000", {"input_count": 0, "modle": "x"}
    )
    assert [line.split(":")[0] for line in found] == [
        "--host",
        "--batch-size",
        "--concurrency-range",
        "--measurement-interval",
        "input_count of the user class",
        "--seed",
        "modle of the user class",
    ]
    assert found[-1] == "modle of the user class: there is no such option. To do: write model."


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


def test_the_environment_gives_options_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_BATCH_SIZE", "4")
    monkeypatch.setenv("LOCUST_DRY_RUN", "true")
    monkeypatch.setenv("LOCUST_SHAPE", "[IN:1x3, B:2]")
    settings = read("")
    assert (settings.batch_sizes, settings.dry_run) == ((4,), True)
    assert settings.shapes == (("B", (2,)), ("IN", (1, 3)))
    assert read("-b 2").batch_sizes == (2,)


def test_locusts_options_that_other_programs_lack_may_be_missing() -> None:
    assert Settings.read(argparse.Namespace()) == Settings()
    with pytest.raises(OptionError) as error:
        Settings.read(argparse.Namespace(run_time="soon"))
    assert str(error.value).startswith("--run-time: 'soon' is not a duration")


def test_settings_travel() -> None:
    settings = read("-b 1,8 --concurrency-range 1 --request-rate-range 5,50% --shape A:1,2 --seed 0")
    assert Settings.from_plain(msgpack.unpackb(msgpack.packb(settings.plain()))) == settings
    assert Settings.from_plain(json.loads(json.dumps(settings.plain()))) == settings


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-u localhost:8001", "-u localhost:8001: -u is the number of users here; the server's address is --host localhost:8001"),
        ("-ulocalhost:8001", "-u localhost:8001: -u is the number of users here; the server's address is --host localhost:8001"),
        ("-u gpu1", "-u gpu1: -u is the number of users here; the server's address is --host gpu1"),
        ("-H Authorization:secret", "-H Authorization:…: -H is the server's address here (--host HOST:8001); request headers cannot be set, so leave it out"),
        ("-f out.csv", "-f out.csv: -f is the locustfile here; each run writes summary.csv into the folder --results"),
        ("-s 10%", "-s 10%: -s is --stop-timeout in seconds here; Perf Analyzer's --stability-percentage does not exist, so leave it out"),
        ("-l 100", "-l 100: -l lists the user classes here; the latency budget is --latency-threshold 100ms"),
        ("-l 1.5s", "-l 1.5s: -l lists the user classes here; the latency budget is --latency-threshold 1.5s"),
        ("-t 1:4", "-t 1:4: -t is --run-time here; concurrencies are --concurrency-range 1:4"),
        ("-i grpc", "-i grpc: gRPC is the only protocol here, so leave it out"),
        ("-i HTTP", "-i HTTP: requests go by gRPC only; leave it out and give the gRPC port with --host HOST:8001"),
    ],
)  # fmt: skip
def test_habits_of_perf_analyzer(line: str, message: str) -> None:
    assert perf_analyzer_habits(["-f", "any.py", *line.split()]) == [message]


@pytest.mark.parametrize(
    "line",
    [
        "-f any.py --headless -u 4 -r 2 -t 60 -H localhost:8001",
        "-u4 -t 5m -s 10 -l -H grpc://x -i",
        "-H [::1]:8001 -u",
        "-l --headless",
        "-H localhost --host http://a:1 -u=4",
        "-- -u localhost:8001",
        "-i x",
    ],
)
def test_locusts_own_meanings_stay(line: str) -> None:
    assert perf_analyzer_habits(line.split()) == []


def test_several_habits_are_told_together() -> None:
    line = "-m simple -u localhost:8001 -i grpc -l 100 -f out.csv -s 10%"
    assert [message[:2] for message in perf_analyzer_habits(line.split())] == ["-u", "-i", "-l", "-f", "-s"]
