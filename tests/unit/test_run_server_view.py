"""What the server's statistics say of a step: a split, or why there is none, and what became of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from tests.unit.test_report_example import SMALL, flow_of, series_of, step_of
from triton_users.options import Settings
from triton_users.run import server_view
from triton_users.run.server_view import ServerView

RESULT = step_of(0, "s", flow_of(SMALL, users=1), {("ImageUser", SMALL): series_of(SMALL, 20, 1)}, ())
OURS = RESULT.whole.ok


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_view, "REREAD_NS", 0)


class Server:
    """A target whose model has counted so many successes of one inference each."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.channel = SimpleNamespace(given_up=0)
        self.deaths: list[str] = []
        self.ask: Any = SimpleNamespace(
            statistics=self.statistics, config=lambda name: model_config_pb2.ModelConfig()
        )

    def statistics(self) -> service_pb2.ModelStatisticsResponse:
        counted = {"success": {"count": self.count, "ns": 1000 * self.count}}
        model = service_pb2.ModelStatistics(
            name=SMALL.model,
            version="1",
            inference_count=self.count,
            execution_count=self.count,
            inference_stats=counted,
        )
        return service_pb2.ModelStatisticsResponse(model_stats=[model])


def seen(
    then: int, now: int, connections_lost: int = 0, death: str = ""
) -> tuple[int | None, bool | None, str | None, str | None]:
    """Of a server that had counted ``then`` and has ``now``: the split's successes, whether the audit holds
    or why it is skipped, and what became of the server."""
    server: Any = Server(then)
    view = ServerView(server, RESULT.step)
    view.before()
    server.count = now
    server.deaths += [death] if death else []
    splits, audits = view.after(RESULT, connections_lost, Settings())
    audit = audits[SMALL.model]
    assert audit.ours == OURS
    split = splits.get(SMALL.model)
    return split and split.success_count, audit.equal, audit.skipped, view.ended


def test_a_server_that_stayed() -> None:
    assert seen(7, 7 + OURS) == (OURS, True, None, None)
    assert seen(7, 8 + OURS) == (OURS + 1, False, None, None)


def test_a_request_given_up_before_the_step_may_be_counted_in_it() -> None:
    server: Any = Server(7)
    server.channel.given_up = 1
    view = ServerView(server, RESULT.step)
    view.before()
    server.count = 7 + OURS + 1
    _, audits = view.after(RESULT, 0, Settings())
    assert audits[SMALL.model].equal is None
    assert audits[SMALL.model].skipped == "a request from before the step was still open"


def test_connections_lost_are_no_restart() -> None:
    skipped = "connections were lost"
    assert seen(7, 7 + OURS, 1) == (OURS, None, skipped, "broke off a connection")
    assert seen(7, 9 + OURS, 2) == (OURS + 2, None, skipped, "broke off connections")


def test_statistics_that_lack_what_was_answered_are_no_split() -> None:
    """Those of one server of several behind one address, or of one that began anew and has overtaken its old
    counts: which, nobody knows."""
    assert seen(7, 6 + OURS, 1) == (None, None, server_view.INCOMPLETE, "broke off a connection")


def test_counts_that_went_back_tell_of_a_restart() -> None:
    assert seen(7, 6) == (None, None, server_view.RESTARTED, "restarted")
    assert seen(7, 6, 1) == (None, None, server_view.RESTARTED, "restarted")


def test_a_server_that_died_may_have_overtaken_its_old_counts() -> None:
    died = "signal SIGKILL; its last lines:\nbye"
    assert seen(7, 7 + OURS, 0, died) == (None, None, server_view.RESTARTED, "died (signal SIGKILL)")
