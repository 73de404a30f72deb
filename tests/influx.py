"""A real InfluxDB 1.8.10 for tests: built once by Go's own client, one process for each that a test starts.

``python -m tests.influx`` builds it (a minute, 62 MB), so that no test has to.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from triton_users.process import Child, spawn
from triton_users.server.ports import free_ports
from triton_users.sinks.influx_target import InfluxTarget

VERSION = "1.8.10"
MODULE = f"github.com/influxdata/influxdb/cmd/influxd@v{VERSION}"
BUILD_S = 900.0
USER, PASSWORD = "admin", "s3cret-of-the-tests"
DATABASE = "load"
BUCKET = f"{DATABASE}/autogen"

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
  dir = "{root}/meta"
[data]
  dir = "{root}/data"
  wal-dir = "{root}/wal"
  series-id-set-cache-size = 100
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  auth-enabled = {auth}
  flux-enabled = false
  log-enabled = false
  max-body-size = {max_body}
[monitor]
  store-enabled = false
[subscriber]
  enabled = false
"""


def home() -> Path:
    """Where the binary is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "triton-users" / f"influxdb-{VERSION}"


def find_or_build() -> Path:
    """influxd's path. Raises RuntimeError with the reason where neither it nor Go is there."""
    binary = home() / "influxd"
    if binary.exists():
        return binary
    go = shutil.which("go") or ("/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else None)
    if go is None:
        raise RuntimeError(f"no InfluxDB {VERSION} in {home()}, and no Go to build it")
    home().mkdir(parents=True, exist_ok=True)
    built = home() / f".build-{os.getpid()}"
    try:
        subprocess.run(
            [go, "install", MODULE],
            env=os.environ | {"GOBIN": str(built)},
            check=True,
            capture_output=True,
            timeout=BUILD_S,
        )
        (built / "influxd").replace(binary)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or b""
        raise RuntimeError(
            f"cannot build InfluxDB: {error} {said.decode(errors='replace')[-500:]}"
        ) from error
    finally:
        shutil.rmtree(built, ignore_errors=True)
    return binary


class Influx:
    """One influxd on loopback with its own folder; ``start`` after ``kill`` continues on the same data."""

    def __init__(self, binary: Path, root: Path, *, auth: bool = False, max_body: int = 25_000_000) -> None:
        self._binary, self._root, self._auth = binary, root, auth
        root.mkdir(parents=True, exist_ok=True)
        http, backup = free_ports(2)
        self.url = f"http://127.0.0.1:{http}"
        self._config = root / "influxdb.conf"
        self._config.write_text(
            _CONFIG.format(root=root, http=http, backup=backup, auth=str(auth).lower(), max_body=max_body)
        )
        self._child: Child | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._child = spawn([str(self._binary), *self._options()], log=self._root / "influxd.log")
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._child.alive, self._child.last_lines(20)
            assert time.monotonic() < deadline, "no answer from InfluxDB"
            time.sleep(0.05)

    def _options(self) -> list[str]:
        return ["-config", str(self._config)]

    def set_up(self) -> None:
        """The admin, where there is one, and the database."""
        if self._auth:
            self.query(f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES")
        self.query(f"CREATE DATABASE {DATABASE}")

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def freeze(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        os.kill(self._child.pid, signal.SIGCONT)

    def target(self, bucket: str = BUCKET, **more: Any) -> InfluxTarget:
        return InfluxTarget(self.url, bucket, **more)

    @property
    def arguments(self) -> list[str]:
        """The options of a run that is written here."""
        return self.target().arguments()

    @property
    def token(self) -> str:
        return f"{USER}:{PASSWORD}"

    def query(self, text: str, database: str = DATABASE) -> list[dict[str, Any]]:
        """The series of an InfluxQL query's answer."""
        form = {"q": text, "db": database, "epoch": "ns"}
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.url}/query", data, self._headers())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                result = json.load(answer)["results"][0]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{text}: {error.read().decode()}") from error
        assert "error" not in result, (text, result["error"])
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def write(self, line: str) -> None:
        """A point of someone else."""
        request = urllib.request.Request(f"{self.url}/write?db={DATABASE}", line.encode(), self._headers())
        urllib.request.urlopen(request, timeout=20).close()

    def _headers(self) -> dict[str, str]:
        """Credentials stand here alone: 1.8 takes none from a form, and answers 401."""
        return {"Authorization": f"Token {self.token}"} if self._auth else {}

    def rows(self, text: str) -> list[dict[str, Any]]:
        """The rows of all series with their columns and tags by name."""
        return [
            dict(zip(series["columns"], row, strict=True)) | series.get("tags", {})
            for series in self.query(text)
            for row in series["values"]
        ]

    def value(self, text: str) -> Any:
        """The one value of a query, without its time; None where there is no data."""
        rows = self.rows(text)
        if not rows:
            return None
        (row,) = rows
        (value,) = (value for name, value in row.items() if name != "time")
        return value

    def everything(self) -> list[str]:
        """Every point of the database, in an order of its own: two databases with the same are equal."""
        return sorted(
            json.dumps([series["name"], dict(zip(series["columns"], row, strict=True))], sort_keys=True)
            for series in self.query("SELECT * FROM /.*/")
            for row in series["values"]
        )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=2) as answer:
                return bool(answer.status == 204)
        except (urllib.error.URLError, OSError):
            return False


def started(binary: Path, root: Path, kind: type[Influx] | None = None, **more: Any) -> Influx:
    """One that is ready to be written to."""
    influx = (kind or Influx)(binary, root, **more)
    influx.start()
    try:
        influx.set_up()
    except BaseException:
        influx.kill()
        raise
    return influx


@pytest.fixture(scope="session")
def influxd() -> Path:
    """The binary; skips, with the reason, where there is none and no way to one; under CI that fails."""
    try:
        return find_or_build()
    except RuntimeError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def influx(influxd: Path, tmp_path: Path) -> Iterator[Influx]:
    """A database of the test's own, without users: to kill or freeze as it likes."""
    found = started(influxd, tmp_path / "influxdb")
    yield found
    found.kill()


@pytest.fixture
def guarded_influx(influxd: Path, tmp_path: Path) -> Iterator[Influx]:
    """One that wants a token."""
    found = started(influxd, tmp_path / "influxdb", auth=True)
    yield found
    found.kill()


if __name__ == "__main__":
    try:
        print(find_or_build())
    except RuntimeError as error:
        sys.exit(str(error))
