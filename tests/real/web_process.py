"""A locust process with its web UI, asked as the page asks it."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.real.locust_process import LocustProcess, ledger_closes
from triton_users.options import OPTIONS

FORM = {"user_count": "1", "spawn_rate": "1", "host": "", "run_time": "", "profile": ""} | {
    option.dest: "false" if option.parse is None else "" for option in OPTIONS if option.in_form
}
"""What Locust's page sends when nobody has touched a field and no option was given."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class WebLocust(LocustProcess):
    """``base`` is the path under which the UI was asked to stand; ``form`` what its fields begin with."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        base: str = "",
        form: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.form = FORM | (form or {})
        port = free_port()
        self.url = f"http://127.0.0.1:{port}{base}/"
        own = ("--web-host", "127.0.0.1", "--web-port", str(port))
        super().__init__(folder, *own, *arguments, headless=False, **more)
        self.until(self._answers, "answer of the web UI")

    def _answers(self) -> bool:
        try:
            self.get("triton/live.json")
        except OSError:
            return False
        return True

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            text: str = answer.read().decode()
            return text

    def json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get(path))
        return found

    def post(self, path: str, **fields: str) -> dict[str, Any]:
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    # Runs

    def start(self, **fields: str) -> None:
        """Start a run as the form does; it must begin."""
        answer = self.post("swarm", **self.form | fields)
        assert answer["success"], answer
        self.until(lambda: self.live["running"], "run")

    def refused(self, **fields: str) -> str:
        """The message of a start that must not begin."""
        folders = self.folders
        answer = self.post("swarm", **self.form | fields)
        assert not answer["success"], answer
        assert not self.live["running"] and self.folders == folders
        message: str = answer["message"]
        return message

    def run(self, **fields: str) -> Path:
        """Start a run and wait until it has ended by itself; its folder."""
        self.start(**fields)
        self.until(lambda: not self.live["running"], "end of the run")
        return self.ended()

    def stop(self) -> Path:
        """Stop the run as the page's button does; its folder."""
        assert self.post("stop")["success"]
        assert not self.live["running"]
        return self.ended()

    def ended(self) -> Path:
        """The folder of the run that has just ended, which must be closed, with a ledger that closes."""
        self.until(lambda: self.state == "stopped", "stopped state of Locust", 10)
        folder = self.folders[-1]
        assert folder.name == self.live["results"]
        ledger_closes(self.rows_of(folder), self.lines_of(folder))
        return folder

    @property
    def live(self) -> dict[str, Any]:
        return self.json("triton/live.json")

    @property
    def state(self) -> str:
        """Locust's own, from its page: that in stats/requests may be two seconds old."""
        found = re.search(r'"state": "(\w+)"', self.get(""))
        assert found is not None
        return found[1]

    @property
    def folders(self) -> list[Path]:
        """Of all runs, by age."""
        return sorted(self.results.glob("*/"), key=lambda path: path.stat().st_ctime_ns and path.name)

    @staticmethod
    def rows_of(folder: Path) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads((folder / "summary.json").read_text())["steps"]
        return rows

    @staticmethod
    def lines_of(folder: Path) -> list[dict[str, Any]]:
        """Of windows.jsonl, the last revision of each second."""
        text = (folder / "windows.jsonl").read_text()
        read = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "window"]
        return list({(line["step"], line["second"]): line for line in read}.values())

    def end(self) -> None:
        """Leave as a service manager does; nothing may be left."""
        self.signal(signal.SIGTERM)
        assert self.wait() in (0, 1, 4), self.output
        self.gone()
        assert "Traceback" not in self.output, self.output
