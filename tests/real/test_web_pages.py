"""Our pages: under a base path, behind Locust's login, without a secret."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from tests.real.web_process import WebLocust
from triton_users.server.embedded import EmbeddedTriton

SECRET = "s3cr3t-of-nobody"
OURS = (
    "triton/",
    "triton/live.json",
    "triton/result.txt",
    "triton/summary.json",
    "triton/summary.csv",
    "triton/summary.svg",
)
LOCUSTS = ("", "stats/requests", "stats/report", "logs", "tasks", "exceptions")
WITH_LOGIN = """
from locust import events
from triton_users import TritonUser

@events.init.add_listener
def login(environment, **_):
    environment.web_ui.app.secret_key = "of this test"
    environment.web_ui.login_manager.user_loader(lambda name: None)
    environment.web_ui.auth_args = {"username_password_callback": "/check"}

class Mine(TritonUser):
    model = "identity_16"
"""


def test_pages_under_a_base_path_without_a_secret(triton: EmbeddedTriton, tmp_path: Path) -> None:
    options = ("-H", triton.url, "-m", "identity_16", "--web-base-path", "/lo", "--warm-up", "200ms")
    env = {"INFLUXDB_TOKEN": SECRET, "TRITON_AGENT_TOKEN": SECRET}
    form = {"model": "identity_16", "host": triton.url, "warm_up": "200ms"}
    with WebLocust(tmp_path, *options, base="/lo", env=env, form=form) as web:
        page = web.get("triton/")
        assert "<canvas" in page and "http://" not in page.replace("http://www.w3.org", "")
        assert "No run has finished yet." in web.get("triton/result.txt")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            web.get("triton/summary.json")
        folder = web.run(request_rate_range="200", measurement_interval="1s", latency_threshold="1s")
        assert json.loads(web.get("triton/summary.json")) == json.loads((folder / "summary.json").read_text())
        assert web.get("triton/summary.svg") == (folder / "summary.svg").read_text()
        assert web.get("triton/summary.csv") == (folder / "summary.csv").read_text()
        assert folder.name in web.get("triton/result.txt")
        assert '"href": "./triton/"' in web.get("")
        (row,) = web.rows_of(folder)
        live = web.live
        assert live["total"]["scheduled"] >= row["scheduled"] and live["phase"] == "finished"
        assert live["last"]["request_rate"] is not None and live["last"]["goodput_rate"] is not None
        numbers = [second["number"] for second in live["seconds"]]
        assert web.json(f"triton/live.json?after={numbers[-1]}")["seconds"] == []
        shown = "".join(map(web.get, OURS + LOCUSTS))
        assert SECRET not in shown + web.output
        assert web.refused(host=f"grpc://me:{SECRET}@127.0.0.1:8001")
        assert SECRET not in "".join(map(web.get, OURS + LOCUSTS)) + web.output
        web.end()


def test_nothing_of_ours_is_open_without_the_login(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with WebLocust(tmp_path, "-H", triton.url, "--web-login", locustfile=WITH_LOGIN) as web:
        login = web.get("login")
        for path in OURS:
            assert web.get(path) == login
        with pytest.raises(ValueError, match="Expecting value"):  # the login's page is no JSON
            web.post("swarm", **web.form)
        assert web.folders == []
        web.end()


def test_the_class_picker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="--class-picker has no use here"):
        WebLocust(tmp_path, "-m", "identity_16", "--class-picker")
