"""Order of the rounds, and what happens when a peer fails or Triton dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.measurement import Bench, Case, Measurement, Peer, PeerError, Timing
from benchmarks.rounds import DEATHS, TRIES, Job, Remaining, Results, Runner, jobs, rotated
from benchmarks.server import Server, ServerDeathError

TIMING = Timing(settle_s=2, window_s=4)
CASE = Case("case", "model", ("a", "b", "c"), in_flight=1)


class FakeServer:
    """Dies when told to; counts how often it was started again."""

    def __init__(self) -> None:
        self.alive, self.deaths = True, 0

    def check(self) -> None:
        if not self.alive:
            raise ServerDeathError("signal SIGSEGV")

    def quiet(self, model: str) -> int:
        self.check()
        return 0

    def restart(self) -> None:
        self.alive = True
        self.deaths += 1


class FakePeer:
    """Each run takes one of ``script``: a measurement, an exception, or "die" (it measures, too late)."""

    name = "a"

    def __init__(self, server: FakeServer, *script: Any) -> None:
        self.server, self.script = server, list(script)

    def run(self, case: Case, bench: Bench) -> Measurement:
        assert bench.folder.is_dir()
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, Exception):
            raise what
        if what == "die":
            self.server.alive = False
            return Measurement(1)
        assert isinstance(what, Measurement)
        return what


def run(folder: Path, server: FakeServer, *script: Any) -> tuple[Results, list[str]]:
    said: list[str] = []
    results = Results(1)
    peers = cast("dict[str, Peer]", {"a": FakePeer(server, *script)})
    runner = Runner(cast("Server", server), peers, TIMING, folder, said.append)
    runner.run([Job(0, CASE, "a")], results)
    assert not list(folder.iterdir())
    return results, said


def test_every_round_begins_with_another_peer() -> None:
    assert [rotated("abc", by) for by in range(4)] == [list("abc"), list("bca"), list("cab"), list("abc")]


def test_all_peers_in_every_round_and_once_at_the_end() -> None:
    once = Case("once", "model", ("a",), in_flight=1, once=True)
    there = cast("dict[str, Peer]", dict.fromkeys("ab"))

    found = [(job.round, job.case.name, job.peer) for job in jobs([once, CASE], 2, there)]

    rounds = [(0, "case", "a"), (0, "case", "b"), (1, "case", "b"), (1, "case", "a")]
    assert found == [*rounds, (0, "once", "a")]


def test_the_time_left_is_guessed_first_and_then_learned() -> None:
    remaining = Remaining(TIMING)
    left = [Job(1, CASE, "a"), Job(1, CASE, "b")]

    assert remaining.seconds(left) == 2 * (7 + 5)
    remaining.spent(Job(0, CASE, "a"), 8)
    assert remaining.seconds(left) == 8 + 12


def test_a_measurement_is_kept_and_its_notes_told(tmp_path: Path) -> None:
    found = Measurement(1000, 20, p50_ns=2e5, notes=("did not end",))

    results, said = run(tmp_path, FakeServer(), found)

    assert results.found == {("case", "a"): [found]}
    assert results.incidents == ["round 1, case, a: did not end"]
    assert results.complete
    assert said == ["[1/1] round 1 case a: 1,000/s, 20.0 µs CPU, p50 200 µs · 0.0 min left"]


@pytest.mark.parametrize("way", ["die", ServerDeathError("signal SIGSEGV")])
def test_a_dead_triton_is_noted_started_again_and_the_measurement_repeated(tmp_path: Path, way: Any) -> None:
    server = FakeServer()
    server.alive = way == "die"

    results, _ = run(tmp_path, server, way, Measurement(2))

    assert results.found == {("case", "a"): [Measurement(2)]}
    assert server.deaths == 1
    assert results.incidents == ["round 1, case, a: Triton died, started again: signal SIGSEGV"]


def test_a_peer_that_keeps_failing_is_left_out_of_the_round(tmp_path: Path) -> None:
    server = FakeServer()

    results, said = run(tmp_path, server, PeerError("ended with 1"))

    assert results.found == {}
    assert len(results.incidents) == TRIES
    assert server.deaths == 0
    assert said[-1].startswith("[1/1] round 1 case a: no figures")


def test_a_triton_that_keeps_dying_ends_the_bench(tmp_path: Path) -> None:
    server = FakeServer()
    server.deaths = DEATHS

    with pytest.raises(ServerDeathError):
        run(tmp_path, server, "die")
