"""h2load: a C client that sends one body over and over, the practical ceiling on one connection."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.payloads import input_of, write_body
from benchmarks.processes import Child
from triton_users.units import NS_PER_MS, NS_PER_S, NS_PER_US

PATH = "inference.GRPCInferenceService/ModelInfer"
FIRST_GUESS = 5000
"""Requests of the short run that finds out how many fill a window."""
UNITS = {"us": NS_PER_US, "ms": NS_PER_MS, "s": NS_PER_S}
US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Output:
    requests_per_s: float
    succeeded: int
    mean_ns: float


def parse_output(text: str) -> Output:
    """What h2load prints at its end."""
    finished = re.search(r"^finished in \S+, ([\d.]+) req/s", text, re.MULTILINE)
    requests = re.search(r"^requests: .*?(\d+) succeeded", text, re.MULTILINE)
    times = re.search(r"^time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\b", text, re.MULTILINE)
    if not (finished and requests and times):
        raise PeerError(f"h2load's output cannot be read: {text[-500:]}")
    mean_ns = float(times[1]) * UNITS[times[2]]
    return Output(float(finished[1]), int(requests[1]), mean_ns)


def command(
    address: str, body: Path, count: int, in_flight: int | None, rate: float | None = None
) -> list[str]:
    """A number of requests (-n), never a duration: -D cuts requests off, which kills Triton."""
    argv = ["h2load", "-n", str(count), "-c1", f"-m{in_flight}", "-d", str(body)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    paced = [] if rate is None else [f"--rps={rate:g}"]
    return [*argv, *paced, *headers, f"http://{address}/{PATH}"]


class H2load:
    name = "h2load"

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    @staticmethod
    def available() -> bool:
        return shutil.which("h2load") is not None

    def run(self, case: Case, bench: Bench) -> Measurement:
        body = bench.folder / "body.bin"
        write_body(case, input_of(case, bench.server), body)
        if case.name not in self._rates:
            self._rates[case.name] = self._load(case, bench, body, FIRST_GUESS)[0].requests_per_s
        count = int(self._rates[case.name] * (bench.timing.window_s + bench.timing.tail_s))
        output, cpu_s = self._load(case, bench, body, count)
        self._rates[case.name] = output.requests_per_s
        return Measurement(
            requests_per_s=output.requests_per_s,
            cpu_us_per_request=cpu_s * US_PER_S / output.succeeded,
            cores=cpu_s * output.requests_per_s / output.succeeded,
            mean_ns=output.mean_ns,
        )

    def _load(self, case: Case, bench: Bench, body: Path, count: int) -> tuple[Output, float]:
        before = bench.server.quiet(case.model)
        argv = command(bench.server.address, body, count, case.in_flight)
        with Child(argv, bench.folder / "log") as child:
            if not child.wait(bench.timing.load_s * 3 + bench.timing.end_s):
                raise PeerError(f"h2load did not end: {child.last_lines}")
            cpu_s = child.total_cpu_s()
            bench.server.check()
            if child.returncode != 0:
                raise PeerError(f"h2load ended with {child.returncode}: {child.last_lines}")
            output = parse_output(child.output)
            answered = bench.server.quiet(case.model) - before
            if output.succeeded != count or answered != count:
                # HTTP 200 says nothing of gRPC: only Triton's count shows that they were inferences.
                raise PeerError(f"{count} sent, {output.succeeded} answered, {answered} counted by Triton")
            return output, cpu_s
