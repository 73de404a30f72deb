"""`python -m triton_users options` shows what `locust --help` cannot."""

from __future__ import annotations

import pytest

from triton_users import __main__ as command
from triton_users.options import OPTIONS


def test_every_option_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert command.main(["options"]) == 0
    printed = capsys.readouterr().out
    for option in OPTIONS:
        assert f"{option.help} [{option.env_var}]\n" in printed
        assert all(f"  {flag}" in printed or f", {flag}" in printed for flag in option.flags)


def test_the_command_is_named_where_commands_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    assert "\n  options " in capsys.readouterr().out
