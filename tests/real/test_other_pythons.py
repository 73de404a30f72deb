"""A checkout on the other Pythons that are promised: it installs, unit tests pass, and a plan is printed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.real.locust_process import ROOT

USABLE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
LIMIT_S = 1500.0


def candidates(version: str) -> Iterator[str]:
    """Commands that may be this Python: on PATH, and of pyenv, whose shims run no version but the chosen."""
    yield f"python{version}"
    for pyenv in Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*"):
        yield str(pyenv / "bin" / "python")


def interpreter(version: str) -> str:
    """One that runs and can make environments; skips where there is none."""
    for python in candidates(version):
        try:
            run = subprocess.run([python, "-c", USABLE], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if run.stdout.strip() == version:
            return python
    pytest.skip(f"no Python {version} with venv on PATH or in pyenv")


def not_of_a_checkout(folder: str, names: Sequence[str]) -> set[str]:
    made = {".venv", ".git", "results"} if Path(folder) == ROOT else set[str]()
    return (made | {"__pycache__"}) & set(names)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_python(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=not_of_a_checkout)

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    said = run("make", "--no-print-directory", "setup", f"PYTHON={python}")
    assert (checkout / f".venv/lib/python{version}/site-packages/locust").is_dir()
    if version == "3.13":
        assert "no embedded Triton here, since nvidia-pytriton is not installed" in said
        assert "or give -H HOST:8001 for a Triton of your own" in said
    plan = run(".venv/bin/locust", "-f", "locustfiles/sr.py", "--headless", "--dry-run")
    assert "Plan: 8 steps, about " in plan
    run(".venv/bin/python", "-m", "pytest", "-m", "not slow", "tests/unit")
