"""What a database's answers mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from triton_users.sinks.influx_answer import Refused, Unavailable, answer_of, retry_after_s


def said(message: str) -> str:
    return json.dumps({"code": "invalid", "message": message})


@pytest.mark.parametrize(
    ("status", "body", "dropped"),
    [
        (400, said("partial write: points beyond retention policy dropped=7"), 7),
        (400, said('partial write: field type conflict: input field "ok" is type float dropped=1'), 1),
        (422, said("failure writing points to database: partial write: points beyond retention"), None),
        (400, said("unable to parse 'x': missing fields"), None),
        (400, said("partial write: max-values-per-tag limit exceeded (1/1) dropped=3"), 3),
    ],
)
def test_points_that_will_never_be_taken(status: int, body: str, dropped: int | None) -> None:
    answer = answer_of(status, body, None)
    assert isinstance(answer, Refused) and not answer.too_large
    assert answer.dropped == dropped and answer.status == status
    assert json.loads(body)["message"] == answer.reason


def test_too_large_is_for_good_but_not_for_its_points() -> None:
    answer = answer_of(413, "Request Entity Too Large", None)
    assert isinstance(answer, Refused) and answer.too_large


@pytest.mark.parametrize(
    ("status", "body", "text", "settings"),
    [
        (401, said("unauthorized access"), "401, the token is wrong or missing", True),
        (403, "", "403, the token may not write here", True),
        (404, said('bucket "b" not found'), '404, bucket "b" not found: there is no such bucket', True),
        (
            404,
            said('database not found: "d"'),
            '404, database not found: "d": there is no such database',
            True,
        ),
        (404, said('organization name "o" not found'), '404, organization name "o" not found: give', True),
        (404, "404 page not found", "404, 404 page not found: is this InfluxDB?", True),
        (404, "", "404, not found: is this InfluxDB?", True),
        (400, said("org is required"), "400, org is required", True),
        (422, said("something else"), "422, something else", True),
        (307, "", "307, temporary redirect", True),
        (429, "", "429, too many requests", False),
        (500, "<html>oh</html>", "500, <html>oh</html>", False),
        (503, said("hinted handoff queue not empty"), "503, hinted", False),
        (599, "", "599, an answer that nobody knows", False),
    ],
)
def test_answers_to_be_tried_again(status: int, body: str, text: str, settings: bool) -> None:
    answer = answer_of(status, body, None)
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith(text) and answer.settings is settings


def test_success_is_any_2xx() -> None:
    assert answer_of(204, "", None) is None and answer_of(200, "x", None) is None


def test_a_message_is_short_and_holds_no_secret() -> None:
    answer = answer_of(500, "Authorization: Token abc\n" + "x" * 5000, None)
    assert isinstance(answer, Unavailable)
    assert len(answer.reason) < 400 and "abc" not in answer.reason and "\n" not in answer.reason


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, None), ("", None), ("7", 7), ("1e9", 60), ("-3", 0), ("soon", None), ("nan", None), ("inf", 60)],
)
def test_retry_after_in_seconds(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text) == seconds


def test_retry_after_as_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = retry_after_s(at)
    assert found is not None and 20 < found <= 30
