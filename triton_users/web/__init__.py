"""Locust's web UI: the start form is checked, a tab and a page of ours show the run live and its results."""

from __future__ import annotations

from typing import Any

from triton_users.run.session import Session
from triton_users.web import page, start, tab
from triton_users.web.live import Live

__all__ = ["install"]


def install(web_ui: Any, session: Session) -> None:
    """In ``init``, before the web server answers. ``web_ui`` is Locust's WebUI."""
    live = Live()
    session.on_run.append(live.follow)
    start.install(web_ui, session)
    tab.install(web_ui, live)
    page.install(web_ui, session, live)
