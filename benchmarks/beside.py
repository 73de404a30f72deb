"""What stands beside the comparison, one after the other: python -m benchmarks.beside [--more] [--name NAME].

What workers cost their master and their machine, what agent and feed cost; with --more also what 1,000
workers cost, and where the processor time of a request goes. What they print is kept as
results/<date>-<name>.md: of a part that did not end well too, and when Ctrl-C ends it all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report
from benchmarks.command import INTERRUPTED, ROOT
from benchmarks.processes import Child

PARTS = ("start_workers", "two_workers", "many_workers", "agent", "feed")
"""Each prints its goal and whether it is met, and ends with 1 when it is missed."""
MORE = ("many_workers --workers 1000 --profile", "profile --only closed-1,closed-8")
"""Figures that are no goals."""
MISSED = "goal missed"
LIMIT_S = 900
LOOK_S = 0.5


class Part:
    """One command ``python -m benchmarks.COMMAND``: ``text`` is what it has printed, ``ending`` how it ended,
    empty if well, None before it has begun."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.text = ""
        self.ending: str | None = None

    def run(self, log: Path) -> None:
        """To its end, LIMIT_S at most; what it prints is shown as it comes."""
        module, *rest = self.command.split()
        self.ending = "was interrupted"
        deadline = time.monotonic() + LIMIT_S
        with Child([sys.executable, "-u", "-m", f"benchmarks.{module}", *rest], log, cwd=ROOT) as child:
            try:
                while not child.wait(LOOK_S) and time.monotonic() < deadline:
                    self._show(child.output)
            finally:
                self._show(child.output)
            code = child.returncode
        if code is None:
            self.ending = f"did not end within {LIMIT_S} s"
        elif code:
            self.ending = MISSED if MISSED in self.text else f"did not end well (exit code {code})"
        else:
            self.ending = ""

    def _show(self, output: str) -> None:
        print(output[len(self.text) :], end="", flush=True)
        self.text = output


def run(parts: list[Part]) -> int:
    """One after the other; the exit code of all."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, part in enumerate(parts):
                print(f"\n{part.command}", flush=True)
                part.run(Path(folder) / str(number))
        except KeyboardInterrupt:
            return INTERRUPTED
    return int(any(part.ending for part in parts))


def markdown(date: datetime, parts: list[Part], facts: dict[str, str]) -> str:
    lines = [f"# Beside the bench of {date.isoformat(timespec='seconds')}"]
    for part in parts:
        if part.ending is None:
            continue
        title = f"{part.command}: {part.ending}" if part.ending else part.command
        lines += ["", f"## {title}", "", "```", part.text.strip(), "```"]
    lines += ["", "## Machine", "", *(f"- {name}: {value}" for name, value in facts.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--name", default="beside", help="of the result file (default: beside)")
    parser.add_argument("--more", action="store_true", help=f"also: {'; '.join(MORE)}")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="folder")
    options = parser.parse_args()
    date = datetime.now(UTC)
    facts = machine.describe()
    parts = [Part(command) for command in PARTS + (MORE if options.more else ())]
    code = run(parts)
    path = report.place(options.results, f"{date:%Y-%m-%d}", options.name, ".md").with_suffix(".md")
    path.write_text(markdown(date, parts, facts))
    print(f"written: {path}")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
