"""The start from Locust's page: nothing begins before the form, the server and the model have been checked.

Locust's own handler writes the form into the options and starts without a check, so ours stands before it:
it makes the run ready, or answers what is wrong, which the page shows under the form.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from flask import Response, before_render_template, jsonify, request

from triton_users.clock import now_ns
from triton_users.options.faults import OptionError
from triton_users.options.table import OPTIONS
from triton_users.run.errors import RunError
from triton_users.run.session import Session
from triton_users.sinks.redact import redact_text
from triton_users.units import NS_PER_S
from triton_users.web.form import options_of

logger = logging.getLogger(__name__)
SWARM = "locust.swarm"
SETTLE_NS = 10 * NS_PER_S
LABEL = 90
"""So many letters of a help text are seen in the form."""


def install(web_ui: Any, session: Session) -> None:
    """Check every start, and show the options as they were last given."""
    views = web_ui.app.view_functions
    start_locust = views[SWARM]

    def swarm() -> Any:
        problem = None if session.running else _settle(web_ui.environment.runner)
        problem = problem or _prepare(session)
        if problem is not None:
            return _refusal(problem, web_ui.environment.host)
        if not request.form.get("run_time", "unchanged").strip():
            session.options.run_time = None  # Locust would keep the last one
        try:
            return start_locust()
        finally:
            if web_ui.environment.runner.shape_greenlet is None:
                session.discard()

    # The form has our options in the order of their table, not of the alphabet.
    web_ui.app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}
    views[SWARM] = web_ui.auth_required_if_enabled(swarm)
    before_render_template.connect(
        lambda app, context, **_: _fill_form(context.get("template_args"), session.options),
        web_ui.app,
        weak=False,
    )


def _settle(runner: Any) -> str | None:
    """Wait until Locust is through with the last run. With workers that takes up to a second more than its
    state says, and until then it takes a start for an edit of that run, and drops it without a word."""
    deadline = now_ns() + SETTLE_NS
    while runner.shape_greenlet is not None:
        if now_ns() > deadline:
            return "Locust is not through with the last run yet: start again in a moment"
        gevent.sleep(0.05)
    return None


def _prepare(session: Session) -> str | None:
    """Makes the next run ready from the request's form; what is wrong with it, if anything."""
    try:
        session.prepare(options_of(request.form, session.options))
    except (OptionError, RunError) as error:
        return str(error)
    except Exception as error:  # whatever it is, the page stays usable
        logger.exception("the run could not be made ready")
        return f"{type(error).__name__}: {error}"
    return None


def _refusal(problem: str, host: str | None) -> Response:
    """The page knows only text without line breaks."""
    text = redact_text(problem)
    logger.error("no run was started: %s", text)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        lines = [f"({number}) {line}" for number, line in enumerate(lines, 1)]
    return jsonify({"success": False, "message": "  ".join(lines), "host": host})


def _fill_form(args: Any, options: Any) -> None:
    """Change what Locust shows in its form: our options as they stand, and no call for a host."""
    if not isinstance(args, dict):
        return
    args["missing_host_warning"] = False  # without one a Triton of our own is started
    shown = args.get("extra_options") or {}
    for option in OPTIONS:
        if option.dest in shown:
            value = getattr(options, option.dest, None)
            shown[option.dest]["default_value"] = ",".join(value) if isinstance(value, list) else value
            shown[option.dest]["help_text"] = short(option.help)


def short(text: str) -> str:
    """As much of a help text as the label of a field has room for, ended where a phrase ends."""
    if len(text) <= LABEL:
        return text.removesuffix(".")
    ends = [at for sign in (". ", "; ", ", ", ": ", " (") if (at := text.rfind(sign, 0, LABEL)) > 0]
    text = text[: max(ends, default=LABEL)]
    return text[: text.rfind(" (")] if text.count("(") > text.count(")") else text
