"""Bring compose.yaml up for real, run a short test with its two workers, look at what came of it.

Exit codes: 0 all well; 1 something is not as it should be; 2 no engine can be started here.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from infra.compose_test.engine import Engine, EngineError, why_not

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "standins"
COMPOSE = ROOT / "infra" / "compose.yaml"
KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triton-users" / "compose-test"
PROJECT = "triton-users-test"
PYTHON = "python:3.11.13-slim-bookworm"
REAL = "triton-users:0.1.0"
RUN = (
    "--headless --expect-workers 2 --expect-workers-max-wait 120 -m identity --shape INPUT0:16 "
    "--request-rate-range 100 -p 3s --warm-up 1s"
)
MEASURED = """SELECT sum("ok") FROM "window" WHERE "phase" = 'measured'"""
RUN_S = 600
STOOD_IN = f"""What was a stand-in:
  {PYTHON}: Debian's Python 3.11 by debootstrap
  triton-users-triton:24.10: Triton 2.51 of the Python package, without a GPU
  influxdb:2.7.12: InfluxDB 1.8.10, with a user and a password as the token
  grafana/grafana:11.6.0: a server that shows which files and settings it was given
Real: compose.yaml, the image of master and workers, health checks, networks, volumes, the run."""


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.compose_test", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=KEPT, help="keeps images (default: %(default)s)")
    parser.add_argument("--new", action="store_true", help="make all images anew")
    given = parser.parse_args(arguments)
    if (why := why_not()) is not None:
        say(f"no engine can be started here: {why}")
        return 2
    engine = Engine(given.folder)
    try:
        with engine.building():
            make_images(engine, anew=given.new)
        with engine.running(), tempfile.TemporaryDirectory() as folder:
            faults = bring_up(engine, Path(folder))
    except EngineError as error:
        faults = [str(error)]
    for fault in faults:
        say(fault)
    print(STOOD_IN)
    print(f"Images are kept in {given.folder}; remove it to have the space back.")
    say("FAILED" if faults else "all well")
    return 1 if faults else 0


def make_images(engine: Engine, anew: bool) -> None:
    """Under the names that compose.yaml uses: the file itself is not changed."""
    if anew or not engine.has(PYTHON):
        say("making the base image")
        engine.base_image(PYTHON)
    dockerfile = ROOT / "infra" / "docker" / "Dockerfile"
    say("building the image of master and workers")
    engine.build(REAL, ROOT, dockerfile)
    say("building the stand-ins")
    engine.build("triton-users:embedded", ROOT, dockerfile, "--build-arg", "EXTRAS=,embedded")
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for source in STAND_INS.iterdir():
            shutil.copy(source, context)
        shutil.copy(influxd(), context / "influxd")
        for name, file in (
            ("triton-users-triton:24.10", "triton"),
            ("influxdb:2.7.12", "influxdb"),
            ("grafana/grafana:11.6.0", "grafana"),
        ):
            engine.build(name, context, context / f"{file}.Dockerfile")
    engine.docker("image", "prune", "--force")


def influxd() -> Path:
    """The tests' InfluxDB 1.8.10. Raises EngineError where there is none and no Go to build it."""
    from tests.influx import find_or_build  # noqa: PLC0415 - it needs the development environment

    try:
        return find_or_build()
    except RuntimeError as error:
        raise EngineError(str(error)) from error


def bring_up(engine: Engine, folder: Path) -> list[str]:
    """What is not as it should be."""
    token = f"admin:{secrets.token_urlsafe(24)}"
    environment = folder / "env"
    reader = secrets.token_urlsafe(24)
    environment.write_text(
        f"INFLUXDB_TOKEN={token}\nINFLUXDB_PASSWORD=unused\n"
        f"INFLUXDB_READER_PASSWORD={reader}\nGRAFANA_PASSWORD=unused\n"
    )
    compose = ["docker-compose", "-p", PROJECT, "-f", str(COMPOSE), "--env-file", str(environment)]
    options = {"LOAD_OPTIONS": RUN, "LOCUSTFILE": "locustfiles/any.py"}
    try:
        say("bringing it up")
        engine.command(*compose, "up", "--detach", "--no-build", timeout_s=RUN_S, environment=options)
        master = engine.command(*compose, "ps", "-q", "master", environment=options)
        code = int(engine.docker("wait", master, timeout_s=RUN_S))
        print(engine.docker("logs", master))
        # 4 is a busy machine: sent late. It is a result all the same.
        faults = [] if code in (0, 4) else [f"the master ended with {code}"]
        engine.docker("cp", f"{master}:/results", str(folder / "results"))
        summary = only_summary(folder / "results")
        faults += by_two_without_loss(summary) + points_arrived(engine, reader, summary)
        return faults + grafana_has_its_files(engine)
    except EngineError:
        say(
            "what the services said:\n"
            + engine.command(*compose, "logs", "--no-color", "--tail=40", environment=options)
        )
        raise
    finally:
        engine.command(*compose, "down", "--volumes", "--timeout", "20", environment=options)


def only_summary(folder: Path) -> Json:
    """That of the one run there is. Raises EngineError where there is another number of them."""
    found = list(folder.glob("*/summary.json"))
    if len(found) != 1:
        raise EngineError(f"{len(found)} runs with a summary.json in /results, not 1")
    summary: Json = json.loads(found[0].read_text())
    return summary


def by_two_without_loss(summary: Json) -> list[str]:
    step = summary["steps"][0]
    say(f"{step['ok']} of {step['scheduled']} by {summary['run']['workers']} workers")
    faults = [] if summary["run"]["workers"] == 2 else ["not both workers took part"]
    return faults + ([] if step["ok"] == step["scheduled"] > 0 else ["requests were lost or failed"])


def points_arrived(engine: Engine, password: str, summary: Json) -> list[str]:
    """All of them: by the published port, as the user that Grafana is."""
    basic = b64encode(f"grafana:{password}".encode()).decode()
    asked = urlencode({"db": "load", "q": MEASURED})
    answer = json.loads(fetch(engine, f"http://127.0.0.1:8086/query?{asked}", f"Basic {basic}"))
    told = sum(row[1] for series in answer["results"][0].get("series", []) for row in series["values"])
    ok = summary["steps"][0]["ok"]
    say(f"in the database: {told} answered")
    return [] if told == ok else [f"{told} answered by the database, {ok} by summary.json"]


def grafana_has_its_files(engine: Engine) -> list[str]:
    """Data source, provider, dashboards."""
    files = json.loads(fetch(engine, "http://127.0.0.1:3000/api/health"))["files"]
    wanted = [
        f"/etc/grafana/{path.relative_to(ROOT / 'grafana')}"
        for pattern in ("provisioning/*/*.yaml", "dashboards/*.json")
        for path in (ROOT / "grafana").glob(pattern)
    ]
    say(f"Grafana was given {len(wanted)} files")
    return [f"Grafana has no {path}" for path in wanted if path not in files]


FETCH = """
import json, sys, urllib.request as r
print(r.urlopen(r.Request(sys.argv[1], headers=json.load(sys.stdin)), timeout=20).read().decode())
"""


def fetch(engine: Engine, url: str, authorization: str = "") -> str:
    """From within the engine's namespace, where the ports are published on loopback."""
    headers = {"Authorization": authorization} if authorization else {}
    found = subprocess.run(
        [*engine.inside(), sys.executable, "-c", FETCH, url],
        input=json.dumps(headers),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if found.returncode:
        raise EngineError(f"{url}: {found.stderr.strip().splitlines()[-1]}")
    return found.stdout


def say(text: str) -> None:
    print(f"compose-test: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
