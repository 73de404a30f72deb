"""The agent's machinery: sensors that fail alone, lines that wait, tokens, other hosts over real sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from triton_users.collect.child import Job, Names
from triton_users.collect.lines import LineError, Lines, address_of
from triton_users.collect.outbox import Outbox
from triton_users.collect.sensor import RESTART, Note, Sample
from triton_users.collect.sensors import TritonAt, host_sensors, triton_sensors
from triton_users.collect.token import TokenError, challenge, proof, proves, read_token
from triton_users.run.agent import GATHER_NS, News

MS = 1_000_000
S = 1_000 * MS


def test_sensors_and_other_hosts_with_real_threads() -> None:
    cases = Path(__file__).with_name("collect_agent_threads.py")
    command = [sys.executable, "-m", "pytest", "--noconftest", "-x", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert not done.returncode, done.stdout + done.stderr


# Lines


def test_a_sample_and_a_note_as_lines() -> None:
    sample = Sample("cpu", "bóx", 5, {"cpu": "all"}, {"cpu_usr_ratio": 0.5})
    assert sample.line() == (
        '{"kind":"sample","source":"cpu","host":"bóx","at_ns":5,"labels":{"cpu":"all"},'
        '"values":{"cpu_usr_ratio":0.5}}'
    )
    assert json.loads(Sample("cpu", "box", 5, {}, {"7": 1.0}, detail=True).line())["kind"] == "detail"
    assert json.loads(Note("gpu", "box", "absent", "why").line()) == {
        "kind": "note",
        "source": "gpu",
        "host": "box",
        "state": "absent",
        "text": "why",
    }


def test_an_outbox_is_bounded_and_counts_what_it_drops() -> None:
    outbox = Outbox(2)
    outbox.put([Sample("a", "b", n, {}, {}) for n in range(5)])
    assert outbox.dropped == 3
    assert outbox.take().count(b"\n") == 2
    outbox.put([Sample("a", "b", 9, {}, {}), Sample("a", "b", 9, {}, {})])
    outbox.close()  # though it is full
    assert outbox.take().count(b"\n") == 1
    outbox.close()
    assert outbox.take() == b""


@pytest.mark.parametrize(
    ("text", "address"),
    [("box:9100", ("box", 9100)), ("[::1]:1", ("::1", 1)), ("127.0.0.1:0", ("127.0.0.1", 0))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["box", "box:", ":1", "box:x", "box:70000"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        address_of(text)


@pytest.mark.parametrize("sent", [b"[1]\n", b"nonsense\n", b"\xff\n", b"x" * 300])
def test_lines_that_are_none(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        with pytest.raises(LineError):
            Lines(ours, 200).receive()
        theirs.close()
        with pytest.raises(EOFError):
            Lines(ours).receive()


# The token


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" of the file\n")
    assert read_token(str(file), {"TRITON_AGENT_TOKEN": "other"}) == "of the file"
    assert read_token(None, {"TRITON_AGENT_TOKEN": "here "}) == "here"
    for path, environment in ((None, {}), (str(tmp_path / "none"), {}), (None, {"TRITON_AGENT_TOKEN": " "})):
        with pytest.raises(TokenError, match="secrets"):
            read_token(path, environment)


def test_only_the_same_token_proves() -> None:
    asked = challenge()
    assert asked != challenge()
    assert proves("secret", asked, proof("secret", asked))
    for answer in (proof("other", asked), proof("secret", challenge()), "", None, 7, "ü"):
        assert not proves("secret", asked, answer)


def test_hosts_of_one_name_are_told_apart() -> None:
    names = Names("here")
    assert names("far", "a:1") == "far"
    assert names("far", "a:1") == "far"
    assert names("far", "b:1") == "b:1"
    assert names("here", "c:1") == "c:1"


# The parent's side


def test_a_job_survives_the_command_line() -> None:
    job = Job(5, TritonAt("h:1", ("a", "b"), "http://h:2/metrics", True, 7), ("x:1",))
    again = Job.of(job.text())
    assert (again.zero_ns, again.triton.metrics_interval_ns, tuple(again.agents)) == (5, 7, ("x:1",))
    assert again.triton.url == "h:1" and again.triton.metrics_guessed


def test_what_there_is_on_a_host_is_one_line_and_faults_come_at_once() -> None:
    said: list[str] = []
    now = [0]
    restarts: list[tuple[int, str]] = []
    news = News(said.append, lambda at_ns, text: restarts.append((at_ns, text)), lambda: now[0])
    for source, state in (("cpu", "here"), ("gpu", "absent"), ("memory", "here")):
        news.add({"source": source, "host": "box", "state": state, "text": ""})
    news.add({"source": "triton_metrics", "host": "box", "state": "failed", "text": "no answer"})
    news.look()
    assert said == ["agent on box: triton_metrics: no answer"]
    now[0] = GATHER_NS
    news.look()
    news.look()
    assert said[1:] == ["agent on box: measures cpu, memory; not there: gpu"]
    news.add({"source": "triton_metrics", "host": "box", "state": "back", "text": ""})
    assert said[2:] == ["agent on box: triton_metrics is back"]
    news.add(json.loads(Note("triton_statistics", "box", RESTART, "from zero", 7).line()))
    assert restarts == [(7, "from zero")] and not said[3:]


def test_the_page_of_sensors_has_a_row_for_each() -> None:
    page = (Path(__file__).parents[2] / "docs/sensors.md").read_text()
    triton = TritonAt("h:1", (), "http://h:2/metrics")
    for scheduled in (*host_sensors(), *triton_sensors(triton)):
        assert f"\n| `{scheduled.sensor.source}` |" in page, scheduled.sensor.source
