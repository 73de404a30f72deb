"""What stands beside the bench is kept whatever became of it, and the machine is described as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import beside, machine, processes
from benchmarks.beside import Part, markdown, run
from benchmarks.command import INTERRUPTED

DATE = datetime(2026, 11, 21, tzinfo=UTC)
SLOW = "import time; print('begun'); time.sleep(60)"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose package ``benchmarks`` a test fills."""
    monkeypatch.setattr(beside, "ROOT", tmp_path)
    monkeypatch.setattr(beside, "LOOK_S", 0.05)
    monkeypatch.setattr(processes, "TERM_S", 2.0)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").touch()
    return tmp_path / "benchmarks"


def test_each_part_says_how_it_ended(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bench / "good.py").write_text("print('3 ms; goal met')")
    (bench / "short.py").write_text("import sys; print('30 ms; goal missed', sys.argv[1]); sys.exit(1)")
    (bench / "broken.py").write_text("raise RuntimeError('no InfluxDB')")
    parts = [Part("good"), Part("short --much"), Part("broken")]
    assert run(parts) == 1
    assert [part.ending for part in parts] == ["", "goal missed", "did not end well (exit code 1)"]
    text = markdown(DATE, parts, {"cores": "2"})
    assert "## good\n\n```\n3 ms; goal met\n```\n" in text
    assert "## short --much: goal missed\n\n```\n30 ms; goal missed --much\n```\n" in text
    assert "RuntimeError: no InfluxDB\n```\n" in text
    assert text.endswith("## Machine\n\n- cores: 2\n")
    assert "30 ms; goal missed --much\n" in capsys.readouterr().out


def test_what_takes_too_long_is_kept_as_far_as_it_came(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "LIMIT_S", 1)
    (bench / "slow.py").write_text(SLOW)
    parts = [Part("slow")]
    assert run(parts) == 1
    assert (parts[0].text[:6], parts[0].ending) == ("begun\n", "did not end within 1 s")


class Interrupted(Part):
    """Ctrl-C comes when it has begun."""

    def _show(self, output: str) -> None:
        known = bool(self.text)
        super()._show(output)
        if self.text and not known:
            raise KeyboardInterrupt


def test_an_interrupt_keeps_what_was_printed(bench: Path) -> None:
    (bench / "good.py").write_text("print('goal met')")
    (bench / "slow.py").write_text(SLOW)
    parts = [Part("good"), Interrupted("slow"), Part("never")]
    assert run(parts) == INTERRUPTED
    assert [part.ending for part in parts] == ["", "was interrupted", None]
    text = markdown(DATE, parts, {})
    assert "goal met" in text and "begun" in text and "never" not in text


@pytest.mark.parametrize(
    ("driver", "governor", "found"),
    [
        ("haltpoll", "haltpoll", "driver haltpoll, governor haltpoll, polls 200 µs before it halts"),
        ("haltpoll", "menu", "driver haltpoll, governor menu"),
        ("none", "haltpoll", "driver none, governor haltpoll"),
        ("intel_idle", None, "unknown"),
    ],
)
def test_a_processor_polls_only_where_its_governor_does(
    driver: str, governor: str | None, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "current_driver").write_text(f"{driver}\n")
    if governor is not None:
        (tmp_path / "current_governor").write_text(f"{governor}\n")
    (tmp_path / "poll").write_text("200000\n")
    monkeypatch.setattr(machine, "CPUIDLE", tmp_path)
    monkeypatch.setattr(machine, "HALT_POLL", tmp_path / "poll")
    assert machine.describe()["idle"] == found
