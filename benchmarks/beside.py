"""What stands beside the comparison, one after the other: python -m benchmarks.beside [--name NAME].

What workers cost their master and their machine, what agent and feed cost, and where the processor time of a
request goes. What they print is kept as results/<date>-<name>.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report
from benchmarks.command import ROOT

PARTS = ("start_workers", "two_workers", "many_workers", "agent", "feed")
"""Each prints its goal, and ends with 1 when it is missed."""
MORE = ("many_workers --workers 1000 --profile", "profile --only closed-1,closed-8")
"""Figures that are no goals."""
LIMIT_S = 900


def part(command: str) -> tuple[str, int]:
    """What ``python -m benchmarks.COMMAND`` printed, shown as well, and how it ended."""
    print(f"\n{command}", flush=True)
    module, *rest = command.split()
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {LIMIT_S} s", 1
    print(done.stdout, flush=True)
    return done.stdout.strip(), done.returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--name", default="beside", help="of the result file (default: beside)")
    parser.add_argument("--more", action="store_true", help=f"also: {'; '.join(MORE)}")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="folder")
    options = parser.parse_args()
    date = datetime.now(UTC)
    facts = machine.describe()
    found = {command: part(command) for command in PARTS + (MORE if options.more else ())}
    stem = report.place(options.results, f"{date:%Y-%m-%d}", options.name, ".md")
    lines = [f"# Beside the bench of {date.isoformat(timespec='seconds')}"]
    for command, (text, code) in found.items():
        lines += ["", f"## {command}{': goal missed' if code else ''}", "", "```", text, "```"]
    lines += ["", "## Machine", "", *(f"- {name}: {value}" for name, value in facts.items())]
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print(f"written: {stem}.md")
    raise SystemExit(any(code for _, code in found.values()))


if __name__ == "__main__":
    main()
