"""A page of our own beside Locust's: live plots, and the last run as a table, a picture, JSON and CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, request, send_file

from triton_users.report.console import render_result
from triton_users.run.session import Session
from triton_users.web.live import Live
from triton_users.web.tab import where

PAGE = Path(__file__).with_name("page.html")
NOTHING = "No run has finished yet."


def install(web_ui: Any, session: Session, live: Live) -> None:
    """Serve the page under Locust's own base path and login."""
    base = (getattr(session.options, "web_base_path", None) or "").rstrip("/")
    routes = Blueprint("triton", __name__, url_prefix=f"{base}/triton")
    guarded = web_ui.auth_required_if_enabled

    def page() -> Response:
        return Response(PAGE.read_text(encoding="utf-8"), mimetype="text/html")

    def live_json() -> Response:
        return jsonify(state(session, live, request.args.get("after", 0, type=int)))

    def result_text() -> Response:
        summary = _read(live, "summary.json")
        return _text(render_result(json.loads(summary), str(live.folder)) if summary else NOTHING)

    def summary_json() -> Response:
        return _file(live, "summary.json", "application/json")

    def summary_csv() -> Response:
        return _file(live, "summary.csv", "text/csv")

    def summary_svg() -> Response:
        return _file(live, "summary.svg", "image/svg+xml", download=False)

    for path, view in (
        ("/", page),
        ("/live.json", live_json),
        ("/result.txt", result_text),
        ("/summary.json", summary_json),
        ("/summary.csv", summary_csv),
        ("/summary.svg", summary_svg),
    ):
        routes.add_url_rule(path, view.__name__, guarded(view))
    web_ui.app.register_blueprint(routes)


def state(session: Session, live: Live, after: int) -> dict[str, Any]:
    """What the page shows; of the seconds only those it has not seen, later than number ``after``."""
    step, phase = where(live)
    run, folder, last = live.run, live.folder, live.last
    budget_ns = run.settings.latency_threshold_ns if run is not None else None
    return {
        "run": run.id if run is not None else None,
        "running": session.running,
        "locustfile": session.environment.locustfile or "",
        "server": run.target.url if run is not None else "",
        "embedded": run is not None and run.target.embedded,
        "step": step,
        "phase": phase,
        "latency_threshold_ns": budget_ns,
        "last": last.as_json(0) if last is not None else None,
        "cpu_ratio": max(live.cpu.values(), default=None),
        "total": live.total,
        "samples": live.samples.figures(),
        "workers": live.workers.figures(),
        "worker_count": live.workers.count,
        "seconds": live.since(after),
        "results": folder.name if folder is not None else None,
    }


def _read(live: Live, name: str) -> str | None:
    try:
        return (live.folder / name).read_text(encoding="utf-8") if live.folder is not None else None
    except OSError:
        return None  # the disk was full, or the folder has been moved away


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="text/plain")


def _file(live: Live, name: str, mimetype: str, *, download: bool = True) -> Response:
    if live.folder is None or not (path := live.folder / name).is_file():
        return _text(NOTHING, 404)
    called = f"{live.folder.name}-{name}"
    return send_file(path.resolve(), mimetype=mimetype, as_attachment=download, download_name=called)
