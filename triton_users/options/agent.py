"""The options of the agent: what is measured beside the load."""

from __future__ import annotations

from triton_users import units
from triton_users.options import values
from triton_users.options.option import ADVICE_MS, DURATION, RUN, Option, in_ms

AGENT_OPTIONS: tuple[Option, ...] = (
    Option(
        ("--no-agent",),
        "no_agent",
        None,
        False,
        RUN,
        "Measure nothing beside the load: no host, no GPU, no metrics of Triton's.",
    ),
    Option(
        ("--metrics-url",),
        "metrics_url",
        values.url,
        None,
        RUN,
        "Triton's metrics page (default: the embedded server's, else port 8002 of the server's host).",
        "<url>",
        "write for example http://HOST:8002/metrics",
        in_form=False,
    ),
    Option(
        ("--metrics-interval",),
        "metrics_interval_ns",
        in_ms(100 * units.NS_PER_MS),
        units.NS_PER_S,
        RUN,
        "Between two readings of Triton's metrics page (default: 1s; a bare number is milliseconds, as in"
        " Perf Analyzer).",
        DURATION,
        ADVICE_MS,
    ),
    Option(
        ("--agent",),
        "agents",
        values.addresses,
        (),
        RUN,
        "Also collect from the agent on another host (there: python -m triton_users agent); repeatable.",
        "<host:port>",
        "write for example --agent gpu-box:9100",
        repeat=True,
        in_form=False,
    ),
    Option(
        ("--agent-token-file",),
        "agent_token_file",
        values.name,
        None,
        RUN,
        "File that holds the agents' token (default: the environment's TRITON_AGENT_TOKEN).",
        "<file>",
        "give a readable file that holds nothing else",
        in_form=False,
    ),
)
