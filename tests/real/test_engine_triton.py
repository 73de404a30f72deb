"""The engine on a real Triton: every second holds what the schedule says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ledger import counts, failures, of_flow, per_trial
from tests.rig import FOUR_SIXTEEN, IDENTITY, SIXTEEN, Rig, flow, poisson, step
from triton_users.net import Channel
from triton_users.server.control import Control
from triton_users.server.embedded import EmbeddedTriton
from triton_users.step import CONSTANT, RequestClass
from triton_users.units import NS_PER_MS

pytestmark = pytest.mark.usefixtures("bounded")


def test_every_trial_holds_what_the_schedule_says(triton: EmbeddedTriton) -> None:
    loads = poisson(1000.0)
    with Rig(triton.url) as rig:
        plan = step(loads, interval=0.5, trials=4)
        windows, totals = rig.run(plan)
        planned = [rig.planned(plan, i / 2, (i + 1) / 2)["flow"] for i in range(4)]
        assert [per_trial(windows)[i]["scheduled"] for i in range(4)] == planned
        assert totals["ok"] == sum(planned)


def test_nothing_is_late_because_it_is_the_first(triton: EmbeddedTriton) -> None:
    """A busy machine may delay any; these would be late in every step."""
    late = []
    with Rig(triton.url) as rig:
        while len(late) < 8 and 0 not in late:
            windows, totals = rig.run(step(poisson(1000.0), index=len(late), interval=0.02))
            assert totals["sent"] > 0
            late.append(sum(series.late for window in windows for series in window.series.values()))
    assert 0 in late, late


def test_open_and_closed_flows_at_once(triton: EmbeddedTriton) -> None:
    flows = (
        poisson(300.0, name="poisson"),
        flow(CONSTANT, rate=100.0, name="constant"),
        flow(name="closed", classes=((SIXTEEN, 1.0), (FOUR_SIXTEEN, 1.0))),
    )
    with Rig(triton.url) as rig:
        for index in range(2):
            plan = step(*flows, index=index, warm_up=0.1, interval=0.6)
            windows, totals = rig.run(plan, {"poisson": 0, "constant": 0, "closed": 4})
            assert totals["ok"] == totals["scheduled"]
            for name in ("poisson", "constant", "closed"):
                assert counts(series for _, series in of_flow(windows, name))["ok"] > 30
            assert {key.cls for key, _ in of_flow(windows, "closed")} == {SIXTEEN, FOUR_SIXTEEN}


@pytest.mark.parametrize("connections", [1, 3])
def test_large_tensors(triton: EmbeddedTriton, connections: int) -> None:
    """1.8 MB each way: partial writes, windows, and answers that the kernel drops."""
    big = RequestClass("identity", 1, (("INPUT0", (450_000,)),))
    with Rig(triton.url, connections=connections) as rig:
        _, totals = rig.run(step(flow(classes=((big, 1.0),)), interval=0.8), 4)
        assert totals["ok"] == totals["scheduled"] > 8
        assert rig.channels["flow"].call("/inference.GRPCInferenceService/ServerLive", b"")


def test_answers_with_errors(triton: EmbeddedTriton) -> None:
    missing = flow(classes=((RequestClass("identity", 1, (("INPUT0", (16,)),)), 1.0),), model="no_model")
    with Rig(triton.url, specs={"no_model": replace(IDENTITY, name="no_model")}) as rig:
        windows, totals = rig.run(step(missing, interval=0.8), 4)
        assert totals["failed"] == totals["scheduled"] > 8
        assert set(failures(windows)) == {"NOT_FOUND"}
        [(status, message, _), *_] = windows[0].messages
        assert status == "NOT_FOUND"
        assert "no_model" in message


def test_deadlines_on_a_slow_model(fresh_triton: EmbeddedTriton) -> None:
    """The model takes 5 ms and works off one request at a time, also those that were given up: whoever is
    behind stays behind."""
    slow = flow(model="fixed_time", classes=((RequestClass("fixed_time", 1, (("INPUT0", (1,)),)), 1.0),))
    with Rig(fresh_triton.url, timeout_ns=100 * NS_PER_MS) as rig:
        _, totals = rig.run(step(slow, interval=1.0), 2)
        assert totals["ok"] > 20
        windows, totals = rig.run(step(slow, index=1, interval=0.4), 40)
        assert set(failures(windows)) == {"DEADLINE_EXCEEDED"}
        assert totals["failed"] > 20
    channel = Channel(fresh_triton.url)
    assert Control(channel).ready(), "it lives"
    channel.close()
