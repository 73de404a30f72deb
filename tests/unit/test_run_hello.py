"""What a process says of itself."""

from __future__ import annotations

import socket
from argparse import Namespace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triton_users.run.hello import hello


def environment(path: Path, **options: Any) -> Any:
    return SimpleNamespace(parsed_locustfiles=[str(path)], parsed_options=Namespace(**options))


def test_a_worker_knows_its_address_on_the_way_to_the_master(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("pass\n")
    said = hello(environment(tmp_path / "a.py", worker=True, master_host="localhost", master_port=5557))
    assert said.address in {"127.0.0.1", "::1"}
    assert said.digest == sha256(b"pass\n").hexdigest()[:16]
    assert hello(environment(tmp_path, worker=True, master_host="", master_port=-1)).address == ""


def test_a_master_lets_nobody_run_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up a name lets workers speak whom nobody hears yet."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert hello(environment(tmp_path, worker=False)).address == "127.0.0.1"
