"""Settings out of a command line, by Locust's own parser; and the faults that there are instead."""

from __future__ import annotations

from typing import Any

import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from triton_users.options.settings import OptionError, Settings
from triton_users.options.table import add_options


def locust_parser() -> Any:
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
