"""Secrets never reach a file or a screen."""

from __future__ import annotations

import pytest

from triton_users.sinks.redact import redact_command, redact_options, redact_text


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["locust", "-f", "sr.py", "--influx-token", "s3cret"], "locust -f sr.py --influx-token ***"),
        (["locust", "--influx-token=s3cret", "-u", "4"], "locust --influx-token=*** -u 4"),
        (["locust", "--influx-tok", "s3cret"], "locust --influx-tok ***"),
        (["locust", "--header", "authorization: Bearer s3cret"], "locust --header ***"),
        (["locust", "-H", "grpc://me:s3cret@host:8001"], "locust -H grpc://***@host:8001"),
        (["locust", "--influx=http://h/w?db=a&token=s3cret"], "locust '--influx=http://h/w?db=a&token=***'"),
        (["locust", "--note", "it is here"], "locust --note 'it is here'"),
        (["locust", "--note", "Authorization: Bearer s3cret"], "locust --note 'Authorization: ***'"),
        (["locust", "--headless", "-f", "any.py", "--seed", "7"], "locust --headless -f any.py --seed 7"),
        (["locust", "--show-key", "--headless", "any"], "locust --show-key --headless any"),
    ],
)
def test_command_keeps_everything_but_secrets(argv: list[str], shown: str) -> None:
    assert redact_command(argv) == shown
    assert "s3cret" not in redact_command(argv)


def test_options_show_which_secrets_are_set_but_not_their_values() -> None:
    options = {
        "seed": 7,
        "influx_token": "s3cret",
        "web_password": None,
        "api_keys": ["s3cret"],
        "use_header": True,
        "host": "http://u:s3cret@h",
        "nested": {"password": "s3cret", "sizes": (1, 8)},
        "shape": {("IN", 1)},
    }
    assert redact_options(options) == {
        "seed": 7,
        "influx_token": "***",
        "web_password": None,
        "api_keys": "***",
        "use_header": True,
        "host": "http://***@h",
        "nested": {"password": "***", "sizes": [1, 8]},
        "shape": [["IN", 1]],
    }


def test_text_without_secrets_is_left_alone() -> None:
    text = "locust -f sr.py -H host:8001 --batch-mix 1=80,8=20, mail me@host, the basic idea"
    assert redact_text(text) == text
    assert redact_text("sent with bearer abcdef012") == "sent with bearer ***"
