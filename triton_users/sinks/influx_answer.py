"""What a database's answer to a write means: written, refused for good, or to be tried again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from triton_users.clock import wall_ns
from triton_users.sinks.redact import redact_text
from triton_users.units import NS_PER_S

MAX_RETRY_AFTER_S = 60.0
_MAX_REASON = 300

_FOR_GOOD = re.compile(
    r"partial write|field type conflict|beyond retention|unable to parse|invalid (field|tag|number|boolean)"
    r"|missing (field|tag|measurement)|max-(series|values)-per|time outside range|bad timestamp",
    re.IGNORECASE,
)
_DROPPED = re.compile(r"dropped[= ]\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Refused:
    """These points will never be taken. ``dropped``: how many of them, None if the database does not say.
    ``too_large``: the request was, not its points."""

    status: int
    reason: str
    dropped: int | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nothing is known to be written, and it may work later. ``after_s``: not before, says the database.
    ``settings``: a person must change something first (token, bucket), so waiting alone does not help."""

    reason: str
    after_s: float | None = None
    settings: bool = False


Answer = Refused | Unavailable | None
"""None: written."""

_ADVICE = {
    HTTPStatus.UNAUTHORIZED: "the token is wrong or missing: set INFLUXDB_TOKEN or --influx-token-file",
    HTTPStatus.FORBIDDEN: "the token may not write here: give one that may write to the bucket",
}
_ORGANISATION = "organization"
_NOT_FOUND = {
    _ORGANISATION: "give the bucket's organisation by --influx-org",
    "bucket": "there is no such bucket: create it, or see --influx-bucket",
    "database": "there is no such database: create it, or see --influx-bucket (1.8: DATABASE/POLICY)",
}
"""What to do, by what InfluxDB's message names."""


def lacks_organisation(status: int, body: str) -> bool:
    """Whether this is InfluxDB 2's answer where it does not know the organisation."""
    return status == HTTPStatus.NOT_FOUND and _ORGANISATION in _message(body)


def answer_of(status: int, body: str, retry_after: str | None) -> Answer:
    """What an HTTP answer means."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    message = _message(body)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Refused(status, f"413, too large: {message}".rstrip(": "), too_large=True)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY) and _FOR_GOOD.search(message):
        dropped = _DROPPED.search(message)
        return Refused(status, message, int(dropped[1]) if dropped else None)
    said = _advice(status, message) or message or _phrase(status)
    busy = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in (
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.REQUEST_TIMEOUT,
    )
    return Unavailable(f"{status}, {said}", retry_after_s(retry_after), settings=not busy)


def _advice(status: int, message: str) -> str:
    """What to do, and for a 404 also what was said; empty where nobody knows."""
    if status == HTTPStatus.NOT_FOUND:
        found = next((advice for word, advice in _NOT_FOUND.items() if word in message), "is this InfluxDB?")
        return f"{message or _phrase(status)}: {found}"
    return next((text for code, text in _ADVICE.items() if code == status), "")


def retry_after_s(text: str | None) -> float | None:
    """Seconds of a Retry-After header, a number or a date, within bounds; None without a usable one."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - wall_ns() / NS_PER_S
        except ValueError:
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if seconds == seconds else None  # noqa: PLR0124 - NaN


def _message(body: str) -> str:
    """The message of InfluxDB's JSON, else the body's text; short, on one line, without secrets."""
    try:
        found = json.loads(body)
        text = str(found.get("message") or found.get("error") or "")
    except (ValueError, AttributeError):
        text = body
    return redact_text(" ".join(text.split()))[:_MAX_REASON]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "an answer that nobody knows"
