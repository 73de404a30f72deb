#!/usr/bin/env python3
"""The stand-in image's entry: sets up what the real image would from the same variables, then serves."""

import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:8088"
[meta]
  dir = "/var/lib/influxdb2/meta"
[data]
  dir = "/var/lib/influxdb2/data"
  wal-dir = "/var/lib/influxdb2/wal"
[http]
  bind-address = "{address}:8086"
  auth-enabled = true
  log-enabled = false
[monitor]
  store-enabled = false
"""
USER, _, PASSWORD = os.environ["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"].partition(":")
BUCKET = os.environ["DOCKER_INFLUXDB_INIT_BUCKET"]
READER, READER_PASSWORD = os.environ["INFLUXDB_READER"], os.environ["INFLUXDB_READER_PASSWORD"]


def serve(address: str) -> subprocess.Popen[bytes]:
    path = Path("/tmp/influxdb.conf")
    path.write_text(CONFIG.format(address=address))
    return subprocess.Popen(["influxd", "-config", str(path)])


def ask(query: str) -> None:
    """As the admin."""
    form = urllib.parse.urlencode({"q": query}).encode()
    request = urllib.request.Request("http://127.0.0.1:8086/query", form)
    request.add_header("Authorization", f"Token {USER}:{PASSWORD}")
    urllib.request.urlopen(request, timeout=10).read()


def set_up() -> None:
    """Users and database, as soon as it takes them."""
    deadline = time.monotonic() + 30
    queries = [
        f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}' WITH ALL PRIVILEGES",
        f'CREATE DATABASE "{BUCKET}"',
        f"CREATE USER {READER} WITH PASSWORD '{READER_PASSWORD}'",
        f'GRANT READ ON "{BUCKET}" TO {READER}',
    ]
    while queries:
        try:
            ask(queries[0])
            queries.pop(0)
        except OSError as error:
            if time.monotonic() > deadline:
                raise
            if isinstance(error, urllib.error.HTTPError):
                print(queries[0].split(" WITH")[0], error, error.read(), flush=True)
            time.sleep(0.2)  # noqa: TID251 - the image holds this file alone, and no clock of ours


database = serve("0.0.0.0")
set_up()
raise SystemExit(database.wait())
