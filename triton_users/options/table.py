"""The option table: every option once, for the command line, the environment and Locust's web form.

Locust's web form applies neither ``type=`` nor ``choices=``, so argparse sees only text and flags here
(``None``: not given), and everything is read and checked by ``Settings.read``.
"""

from __future__ import annotations

import argparse
from typing import Any

from triton_users import units
from triton_users.options import values
from triton_users.options.agent import AGENT_OPTIONS
from triton_users.options.option import (
    ADVICE_MS,
    ADVICE_S,
    DURATION,
    GROUPS,
    INPUTS,
    LOAD,
    MODEL,
    RUN,
    Option,
    in_ms,
    in_s,
)
from triton_users.step import MAX_IN_FLIGHT

__all__ = ["GROUPS", "OPTIONS", "Option", "add_options"]

OPTIONS: tuple[Option, ...] = (
    Option(
        ("-m", "--model"),
        "model",
        values.name,
        None,
        MODEL,
        "Model to load (default: the user class's).",
        "<name>",
        "give the model's name in Triton's repository",
    ),
    Option(
        ("--model-version",),
        "model_version",
        values.version,
        "",
        MODEL,
        "Version of the model (default: the one that Triton chooses).",
        "<int>",
        "leave it out for the version that Triton chooses",
    ),
    Option(
        ("-b", "--batch-size"),
        "batch_sizes",
        values.batch_sizes,
        (1,),
        LOAD,
        "Inferences in each request: 8, or several to measure in turn, 1,8 or start:end:step (default: 1).",
        "<range>",
        "write for example 8, or 1,8, or 1:16:5",
    ),
    Option(
        ("--concurrency-range",),
        "concurrency",
        values.concurrencies,
        (),
        LOAD,
        "Closed loop: requests kept in flight, start:end:step or a list, a step for each and each batch size"
        " (default: 1, unless -u or a rate is given).",
        "<range>",
        "write for example 4, or 1,4,16, or 1:11:2",
    ),
    Option(
        ("--request-rate-range",),
        "request_rates",
        values.request_rates,
        (),
        LOAD,
        "Open loop: requests per second, start:end:step or a list, a step for each and each batch size. A"
        " number with a percent sign is a share of the best rate that the concurrencies before have achieved"
        " at the same batch size.",
        "<range>",
        "write for example 20, or 5,10,20, or 10:50:10, or 50%",
    ),
    Option(
        ("--request-distribution",),
        "distribution",
        values.one_of("poisson", "constant"),
        "poisson",
        LOAD,
        "Gaps between arrivals under a rate: poisson or constant. The default is poisson, as independent"
        " users send; even gaps hide the queueing that these meet (Perf Analyzer's default is constant).",
        "<name>",
        "write poisson or constant",
    ),
    Option(
        ("--warm-up",),
        "warm_up_ns",
        in_s(0),
        None,
        LOAD,
        "Load before each measurement that is not counted (default: the longer of 2 s and three latencies of"
        " the step before at the same batch size, or of a request alone before its first; a bare number is"
        " seconds).",
        DURATION,
        ADVICE_S,
    ),
    Option(
        ("-p", "--measurement-interval"),
        "interval_ns",
        in_ms(units.NS_PER_MS),
        5 * units.NS_PER_S,
        LOAD,
        "Length of a measurement (default: 5s; a bare number is milliseconds, as in Perf Analyzer).",
        DURATION,
        ADVICE_MS,
    ),
    Option(
        ("--batch-mix",),
        "batch_mix",
        values.batch_mix,
        (),
        LOAD,
        "Draw each request's batch size with these weights: 1=80,8=20.",
        "<size=weight,…>",
        "write for example 1=80,8=20",
    ),
    Option(
        ("--shape-mix",),
        "shape_mix",
        values.shape_mix,
        (),
        LOAD,
        "Draw each request's input shape (without the batch dimension) with these weights:"
        " IN:1x64=70,IN:1x512=30; shapes that belong together are joined by +.",
        "<name:shape=weight,…>",
        "write for example IN:1x64=70,IN:1x512=30",
    ),
    Option(
        ("--max-in-flight",),
        "max_in_flight",
        values.whole(1),
        MAX_IN_FLIGHT,
        LOAD,
        f"Open loop: arrivals beyond so many open requests are dropped (default: {MAX_IN_FLIGHT}).",
        "<int>",
        "write a whole number from 1 on",
    ),
    Option(
        ("--connections",),
        "connections",
        values.whole(1),
        1,
        LOAD,
        "HTTP/2 connections of each worker (default: 1).",
        "<int>",
        "write a whole number from 1 on",
    ),
    Option(
        ("--latency-threshold",),
        "latency_threshold_ns",
        in_ms(1),
        None,
        LOAD,
        "Latency budget: requests answered within it make the goodput (default: none; a bare number is"
        " milliseconds, as in Perf Analyzer).",
        DURATION,
        ADVICE_MS,
    ),
    Option(
        ("--request-timeout",),
        "request_timeout_ns",
        in_s(1),
        None,
        LOAD,
        "Deadline of each request (default: none, since cancelling can crash a server; a bare number is"
        " seconds).",
        DURATION,
        ADVICE_S,
    ),
    Option(
        ("--shape",),
        "shapes",
        values.shapes,
        (),
        INPUTS,
        "Shape of an input with variable dimensions, without the batch dimension: NAME:d1,d2; repeatable.",
        "<name:shape>",
        "write for example --shape IN:1,64",
        repeat=True,
    ),
    Option(
        ("--input-data",),
        "input_data",
        values.one_of("random", "zero"),
        "random",
        INPUTS,
        "Values of generated inputs: random or zero (default: random).",
        "<name>",
        "write random or zero",
    ),
    Option(
        ("--string-length",),
        "string_length",
        values.whole(0),
        128,
        INPUTS,
        "Length of each generated string (default: 128).",
        "<int>",
        "write a whole number",
    ),
    Option(
        ("--input-count",),
        "input_count",
        values.whole(1),
        64,
        INPUTS,
        "Distinct inputs made for each class of requests (default: 64; fewer where they would take more than"
        " 256 MiB).",
        "<int>",
        "write a whole number from 1 on",
    ),
    Option(
        ("--seed",),
        "seed",
        values.seed,
        None,
        RUN,
        "Seed of arrivals, classes and inputs (default: drawn, and printed).",
        "<int>",
        "write a whole number below 2^63",
    ),
    Option(
        ("--drain-timeout",),
        "drain_ns",
        in_s(0),
        30 * units.NS_PER_S,
        RUN,
        "Wait so long for answers after a step; what is open then has failed (default: 30s; a bare number is"
        " seconds).",
        DURATION,
        ADVICE_S,
    ),
    Option(
        ("--wait-ready",),
        "wait_ready_ns",
        in_s(0),
        30 * units.NS_PER_S,
        RUN,
        "Wait so long for the server and the model before the run (default: 30s; a bare number is seconds).",
        DURATION,
        ADVICE_S,
    ),
    Option(
        ("--results",),
        "results",
        values.name,
        "results",
        RUN,
        "Folder in which each run makes its own (default: results).",
        "<folder>",
        "give a folder",
        in_form=False,
    ),
    Option(
        ("--save-requests",),
        "save_requests",
        None,
        False,
        RUN,
        "Save the times of every request (requests-*.npz); each worker saves its own, on its own machine.",
    ),
    Option(
        ("--influx-url",),
        "influx_url",
        values.url,
        None,
        RUN,
        "InfluxDB that gets the run as it goes; its token is in INFLUXDB_TOKEN or in --influx-token-file.",
        "<url>",
        "write for example http://127.0.0.1:8086; the token comes from INFLUXDB_TOKEN or --influx-token-file",
        in_form=False,
    ),
    Option(
        ("--influx-bucket",),
        "influx_bucket",
        values.name,
        None,
        RUN,
        "InfluxDB's bucket; with 1.8 DATABASE or DATABASE/POLICY.",
        "<name>",
        "give the bucket's name",
        in_form=False,
    ),
    Option(
        ("--influx-org",),
        "influx_org",
        values.name,
        "",
        RUN,
        "Organisation that the bucket belongs to (InfluxDB 2; needed if the token may not read it).",
        "<name>",
        "give the organisation's name",
        in_form=False,
    ),
    Option(
        ("--influx-token-file",),
        "influx_token_file",
        values.name,
        None,
        RUN,
        "File that holds InfluxDB's token (default: the environment's INFLUXDB_TOKEN).",
        "<file>",
        "give a readable file that holds nothing else",
        in_form=False,
    ),
    Option(
        ("--influx-drain",),
        "influx_drain_ns",
        in_s(units.NS_PER_S),
        30 * units.NS_PER_S,
        RUN,
        "After the run wait so long until InfluxDB has it all (default: 30s; a bare number is seconds).",
        DURATION,
        ADVICE_S,
        in_form=False,
    ),
    Option(("--dry-run",), "dry_run", None, False, RUN, "Print the plan and end.", in_form=False),
    Option(
        ("--realtime",),
        "realtime",
        None,
        False,
        RUN,
        "Run the load with real-time priority (SCHED_FIFO), where the system allows it.",
    ),
    *AGENT_OPTIONS,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the table to Locust's parser; for ``init_command_line_parser``, which fires more than once.

    Changes nothing but the parser.
    """
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    for option in OPTIONS:
        extra: dict[str, Any] = {"env_var": option.env_var, "help": option.help}
        if option.parse is None:
            extra |= {"action": "store_true", "default": False}
        else:
            extra |= {"metavar": option.metavar, "default": None}
            if option.repeat:
                extra["action"] = "append"
        action = groups[option.group].add_argument(*option.flags, dest=option.dest, **extra)
        # Locust sets these only on what is added to the parser itself; its web form needs all four.
        shown: Any = action
        shown.include_in_web_ui = option.in_form
        shown.is_secret = shown.is_required = shown.is_multiple = False
