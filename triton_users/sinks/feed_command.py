"""``python -m triton_users feed`` and ``replay``: write a results folder to InfluxDB."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triton_users.options import values
from triton_users.process import give_way
from triton_users.sinks.feed import Feed
from triton_users.sinks.feed_batches import Batches
from triton_users.sinks.feed_end import End, signalled_sleep
from triton_users.sinks.feed_rejected import Rejected
from triton_users.sinks.feed_status import FeedStatus, StatusFile
from triton_users.sinks.feed_watch import Watch
from triton_users.sinks.folder import ResultsError, ResultsFolder
from triton_users.sinks.influx_target import DRAIN_NS, TOKEN_VARIABLE, InfluxTarget, TargetError
from triton_users.sinks.influx_write import InfluxWriter
from triton_users.sinks.points_line import Points
from triton_users.units import NS_PER_S, format_count

ALL_WRITTEN, NOT_ALL, WRONG = 0, 1, 2


def feed(arguments: Sequence[str]) -> int:
    """Follow a run until SIGTERM says that it is over; 0 if all of it is written."""
    options = _parser("feed", "Write a run to InfluxDB as it goes; SIGTERM says that it is over.").parse_args(
        arguments
    )
    give_way()
    status = StatusFile(Path(options.status)) if options.status else None
    return _guarded(options, replay=False, status=status)


def replay(arguments: Sequence[str]) -> int:
    """Write a finished run, or what an outage left of it; again changes nothing."""
    return _guarded(
        _parser("replay", "Write the results of a run to InfluxDB; twice gives the same as once.").parse_args(
            arguments
        ),
        replay=True,
        status=None,
    )


def _guarded(options: argparse.Namespace, *, replay: bool, status: StatusFile | None) -> int:
    try:
        return _run(options, replay=replay, status=status)
    except (ResultsError, TargetError, ValueError) as error:
        print(f"triton-users: {error}", file=sys.stderr)
        return WRONG


def _run(options: argparse.Namespace, *, replay: bool, status: StatusFile | None) -> int:
    target = InfluxTarget(
        url=values.url(options.influx_url),
        bucket=values.name(options.influx_bucket),
        org=options.influx_org,
        token_file=options.influx_token_file,
        drain_ns=DRAIN_NS
        if options.influx_drain is None
        else values.duration(options.influx_drain, "s", NS_PER_S // 10),
    )
    folder = ResultsFolder(Path(options.folder))
    run = read_run(folder)
    rejected = Rejected(folder.path / "rejected.jsonl")
    end = End(target.drain_ns, signalled_sleep(lambda: _ask(end)))
    told = _Teller(status, folder if replay else None)
    budget = (run.get("options") or {}).get("latency_threshold_ns") is not None
    made = Points(str(run["id"]), int(run["zero_wall_ns"]), budget=budget)
    writer = InfluxWriter(target)
    writer.open()
    if replay:
        end.ask()
    work = Feed(Batches(folder.windows, made), writer, rejected, end, told, patient=replay)
    try:
        complete = work.run()
    finally:
        writer.close()
        told(work.status)
    if replay:
        _print(work.status, complete, rejected, target)
    return ALL_WRITTEN if complete and not work.status.missing else NOT_ALL


def _ask(end: End) -> None:
    end.ask()


def read_run(folder: ResultsFolder) -> dict[str, Any]:
    """run.json of a results folder. Raises ResultsError."""
    try:
        run = json.loads(folder.run_json.read_text(encoding="utf-8"))
        int(run["zero_wall_ns"])
        str(run["id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{folder.path} is no results folder ({error}); give one that a run has made, results/…"
        ) from error
    assert isinstance(run, dict)
    return run


class _Teller:
    """The status to the parent; of a replay that cannot write, a line to whoever waits."""

    def __init__(self, status: StatusFile | None, replayed: ResultsFolder | None) -> None:
        self._file = status
        self._replayed = replayed
        self._said = ""

    def __call__(self, status: FeedStatus) -> None:
        if self._file is not None:
            self._file.write(status)
        if self._replayed is not None and status.reason != self._said:
            self._said = status.reason
            if status.reason:
                print(f"InfluxDB: {status.reason}; trying again", flush=True)


def _print(status: FeedStatus, complete: bool, rejected: Rejected, target: InfluxTarget) -> None:
    points = f"{format_count(status.points)} points of {format_count(status.lines)} lines"
    if complete:
        print(f"InfluxDB has {points}, in {target.bucket} at {target.url}")
    else:
        why = status.reason or "stopped"
        print(f"InfluxDB has {points}, and not the rest: {why}. Replay again to write it.")
    for text in Watch(rejected.path).given_up(status):
        print(text)


def _parser(command: str, text: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m triton_users {command}",
        description=text,
        epilog=f"The token comes from {TOKEN_VARIABLE} or the file, never from an option.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="the run's results folder")
    parser.add_argument("--influx-url", required=True, metavar="URL", help="http://HOST:8086")
    parser.add_argument(
        "--influx-bucket", required=True, metavar="NAME", help="bucket; with 1.8 DATABASE/POLICY"
    )
    parser.add_argument(
        "--influx-org", default="", metavar="NAME", help="the bucket's organisation (InfluxDB 2)"
    )
    parser.add_argument("--influx-token-file", metavar="FILE", help="file that holds the token")
    parser.add_argument(
        "--influx-drain", metavar="DURATION", help="give up when nothing could be written for so long (30s)"
    )
    if command == "feed":
        parser.add_argument("--status", metavar="FILE", help=argparse.SUPPRESS)
    return parser
