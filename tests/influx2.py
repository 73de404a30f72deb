"""A real InfluxDB 2 for tests: ``python -m tests.influx2`` builds it, and no test does.

That takes Go, Rust, and five minutes on two cores. Its user interface, which no module carries, is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.influx import Influx, home
from triton_users.server.ports import free_ports
from triton_users.sinks.influx_target import InfluxTarget

VERSION = "2.7.12"
MODULE, FLUX = "github.com/influxdata/influxdb/v2", "github.com/influxdata/flux"
TAGS = "sqlite_foreign_keys,sqlite_json"
BUCKET = ORGANISATION = "load"
USER, PASSWORD, TOKEN = "admin", "s3cret-of-the-tests", "t0ken-of-the-tests"
NEEDED = ("go", "cargo", "cc")

_PKG_CONFIG = """#!/bin/sh
# Only flux is asked for.
case "$*" in
    *--cflags*) echo "-I{flux}/include" ;;
    *--libs*) echo "-L{flux}/target/release -lflux -ldl -lm -lpthread -lgcc_s" ;;
esac
"""


def binary() -> Path:
    """Where it is kept."""
    return home().with_name(f"influxdb-{VERSION}") / "influxd"


def build() -> Path:
    """Build it. Raises RuntimeError where a tool is missing, CalledProcessError where one fails."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"no {', '.join(missing)} to build InfluxDB {VERSION}")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = copied(f"{MODULE}@v{VERSION}", root / "influxdb", root)
        listed = command(["go", "list", "-m", "-f", "{{.Version}}", FLUX], source)
        flux = copied(f"{FLUX}@{listed.strip()}", root / "flux", root)
        (flux / "rust-toolchain.toml").unlink()
        flux /= "libflux"
        # Of its features, "strict" makes errors of what newer compilers warn of.
        wanted = ["-p", "flux", "--no-default-features", "--features", "cffi"]
        command(["cargo", "build", "--release", "--locked", *wanted], flux, CARGO_PROFILE_RELEASE_LTO="off")
        finder = root / "pkg-config"
        finder.write_text(_PKG_CONFIG.format(flux=flux))
        finder.chmod(0o755)
        binary().parent.mkdir(parents=True, exist_ok=True)
        made = binary().with_suffix(".new")
        command(
            ["go", "build", "-tags", TAGS, "-ldflags", "-s", "-o", str(made), "./cmd/influxd"],
            source,
            PKG_CONFIG=str(finder),
        )
        made.replace(binary())
    return binary()


def copied(module: str, to: Path, scratch: Path) -> Path:
    """A module's source, to be changed."""
    found = json.loads(command(["go", "mod", "download", "-json", module], scratch))["Dir"]
    shutil.copytree(found, to)
    for path in [to, *to.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    return to


def command(words: list[str], folder: Path, **environment: str) -> str:
    """What it prints; its faults go to ours."""
    done = subprocess.run(
        words, cwd=folder, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


class Influx2(Influx):
    """As Influx; its token lies in a file that the target names."""

    def __init__(self, binary: Path, root: Path) -> None:
        super().__init__(binary, root, auth=True)
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"

    def _options(self) -> list[str]:
        return [
            f"--http-bind-address=127.0.0.1:{self._port}",
            f"--bolt-path={self._root / 'bolt'}",
            f"--sqlite-path={self._root / 'sqlite'}",
            f"--engine-path={self._root / 'engine'}",
            "--reporting-disabled",
            "--log-level=warn",
        ]

    def set_up(self) -> None:
        """Its user, organisation, bucket and token."""
        first = {"username": USER, "password": PASSWORD, "token": TOKEN}
        self.ask("/api/v2/setup", first | {"org": ORGANISATION, "bucket": BUCKET})
        (self._root / "token").write_text(TOKEN)

    def ask(self, path: str, said: dict[str, Any]) -> Any:
        """The answer to a JSON request, with the token."""
        headers = self._headers() | {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(said).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def target(self, bucket: str = BUCKET, **more: Any) -> InfluxTarget:
        more = {"token_file": str(self._root / "token"), "org": ORGANISATION} | more
        return InfluxTarget(self.url, bucket, **more)

    @property
    def token(self) -> str:
        return TOKEN


@pytest.fixture(scope="session")
def influxd2() -> Path:
    """The binary; skips where there is none."""
    if not binary().exists():
        pytest.skip(f"no InfluxDB {VERSION} in {binary().parent}: python -m tests.influx2 builds it")
    return binary()


if __name__ == "__main__":
    try:
        print(build())
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
