"""Where a run's results go as it goes: folder, spool, Locust's statistics, console."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from triton_users.clock import now_ns
from triton_users.options.settings import Settings
from triton_users.report import csv, plot, summary
from triton_users.report.hlog import write_hlog
from triton_users.report.outcome import RunOutcome
from triton_users.run.agent import AgentChild
from triton_users.run.database import influx_target
from triton_users.run.diary import Diary
from triton_users.run.pause import alone
from triton_users.run.reserve import Reserve
from triton_users.run.voice import Voice
from triton_users.sinks.feed_child import FeedChild
from triton_users.sinks.folder import ResultsError, ResultsFolder, RunRecord, versions
from triton_users.sinks.redact import redact_command
from triton_users.sinks.spool import Spool
from triton_users.stats.lines import Line
from triton_users.stats.timeline import Timeline
from triton_users.stats.window import Window
from triton_users.step import Step
from triton_users.verdict.verdict import INVALID, Reason

OnLine = Callable[[Line], None]
OnSamples = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Position:
    """Where the run is: step ``number`` of ``planned``; its t0 on this machine's clock, None before."""

    step: Step
    number: int
    planned: int
    t0_ns: int | None = None


OnDisk = Callable[[int, int], None]


class Record:
    """The results of one run. Once the folder stands nothing here raises: a full disk ends no run."""

    def __init__(
        self,
        settings: Settings,
        locustfile: str,
        run_id: str,
        seed: int,
        zero_wall_ns: int,
        voice: Voice,
        pause: Callable[[], None] = alone,
    ) -> None:
        """``pause`` is called between pieces of work. Raises ResultsError when the folder cannot be made."""
        self.pause = pause
        self.command = list(sys.argv)
        self.versions = versions()
        record = RunRecord(
            id=run_id,
            seed=seed,
            zero_wall_ns=zero_wall_ns,
            command=self.command,
            options=settings.plain(),
            versions=self.versions,
            hosts=[socket.gethostname()],
        )
        self.folder = ResultsFolder.create(Path(settings.results), locustfile, record)
        self.voice = voice
        self.timeline = Timeline()
        self.problems: list[str] = []
        self.position: Position | None = None
        self.on_disk: OnDisk = lambda worker, seq: None
        """Told (worker, seq) of each window whose second has been written, or given up on a full disk."""
        self._notes: list[str] = []
        self._spool = Spool(self.folder.windows)
        self._reserve = Reserve(self.folder.path / ".reserve")
        target = influx_target(settings)
        self.diary = Diary(self._spool, voice, FeedChild(self.folder, target) if target else None)
        self._id = run_id
        self._begun = False
        self._listeners: list[OnLine] = [voice.line]
        self._sample_listeners: list[OnSamples] = []
        self._agent: AgentChild | None = None

    def attend(self, agent: AgentChild) -> None:
        """Start the agent; it ends with the record."""
        self._agent = agent
        agent.start()

    def begin(self) -> None:
        """The run can no longer be refused: it goes to the database, too. Twice does no harm."""
        if not self._begun:
            self._begun = True
            self.diary.run_start(self._id, redact_command(self.command))
            self.diary.start_feed()

    def listen(self, on_line: OnLine) -> None:
        """Call ``on_line`` with every merged line from now on."""
        self._listeners.append(on_line)

    def listen_to_samples(self, on_samples: OnSamples) -> None:
        """Call ``on_samples`` with every agent's lines from now on."""
        self._sample_listeners.append(on_samples)

    def sample(self, lines: str) -> None:
        """Lines of an agent have come: JSON, without the last one's end."""
        self.diary.sample(lines)
        for on_samples in self._sample_listeners:
            on_samples(lines)

    def expect(self, workers: list[int]) -> None:
        """These workers' windows make up a second."""
        self._write(self.timeline.expect(workers))

    def window(self, window: Window) -> None:
        """A window has come: merge it, and write what is complete."""
        self._write(self.timeline.add(window))

    def _write(self, lines: list[Line]) -> None:
        for line in lines:
            self.pause()
            self.diary.complete(line)
            windows = [(generator["worker"], generator["seq"]) for generator in line["generators"]]
            self._spool.append(line, partial(self._settled, windows))
            for on_line in self._listeners:
                self.pause()
                on_line(line)

    def _settled(self, windows: list[tuple[int, int]]) -> None:
        for worker, seq in windows:
            self.on_disk(worker, seq)

    def step(self, step: Step, planned: int) -> None:
        """A step begins."""
        number = 1 if self.position is None else self.position.number + 1
        self.position = Position(step, number, planned)
        self.diary.plan(step)
        self.voice.step(step, number, planned)

    def progress(self, at_ns: int) -> None:
        """``at_ns`` of the step have passed."""
        if self.position is not None and self.position.t0_ns is None:
            self.position = replace(self.position, t0_ns=now_ns() - at_ns)
        self.voice.progress(at_ns)

    def note(self, text: str) -> None:
        """Something that the user must know; said once."""
        if text not in self._notes:
            self._notes.append(text)
            self.voice.say(text)

    def flush(self) -> None:
        """A step is over: what still waited is written."""
        self._write(self.timeline.flush())

    def discard(self, refusal: str) -> None:
        """The run has not begun: leave nothing behind but the reason."""
        self.voice.error(refusal)
        self._dismiss()
        self._spool.close()
        shutil.rmtree(self.folder.path, ignore_errors=True)

    def close(self, outcome: RunOutcome) -> RunOutcome:
        """Write the final files; what cannot be written is a problem to be told, not an end. The outcome,
        with what is missing in the results as a reason."""
        self._dismiss()
        self.begin()  # also a run that was stopped before its first step is in the database as in its folder
        self._write(self.timeline.flush())
        self.diary.run_end(outcome)
        self._spool.close()
        self._reserve.free()
        if self._spool.lost:
            outcome = self._incomplete(outcome)
        built = summary.build(outcome)
        self._try(lambda: summary.write(built, self.folder.summary_json))
        self._try(lambda: csv.write(built, self.folder.summary_csv))
        self._try(lambda: plot.write(built, self.folder.summary_svg))
        self._try(lambda: write_hlog(outcome, self.folder.latency_hlog))
        self._try(
            lambda: self.folder.update(
                {
                    "hosts": sorted(
                        {g.host for step in outcome.steps for g in step.result.generators if g.host}
                    ),
                    "versions": dict(outcome.versions),
                    "server": {"url": outcome.server.url, "embedded": outcome.server.embedded},
                    "duration_ns": outcome.duration_ns,
                    "notes": self._notes,
                }
            )
        )
        self.voice.result(outcome, str(self.folder))
        for problem in self.problems:
            self.voice.error(problem)
        self.diary.finish_feed()
        return outcome

    def _dismiss(self) -> None:
        if self._agent is not None:
            self._agent.stop()

    def _incomplete(self, outcome: RunOutcome) -> RunOutcome:
        lines = self._spool.lost + self._spool.written
        reason = Reason(
            "results_incomplete",
            INVALID,
            None,
            f"{self._spool.lost} of {lines} lines are missing in {self.folder.windows.name} "
            "(disk full, or file removed?)",
            "free some space, or give another --results DIR, and measure again",
        )
        verdict = outcome.verdict
        verdict = replace(verdict, valid=False, reasons=(reason, *verdict.reasons))
        return replace(outcome, verdict=verdict)

    def _try(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except (ResultsError, OSError) as error:
            self.problems.append(str(error))
