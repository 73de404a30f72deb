"""tritonclient.grpc with gevent inside Locust: a user class with one task."""

from __future__ import annotations

import json
from dataclasses import replace

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.payloads import input_of, write_settings
from benchmarks.peers.locust_command import USERS, locust
from benchmarks.processes import Child
from benchmarks.window import observe

STOP_S = 10
"""Users may end their request for so long: cut connections can crash Triton."""


class TritonclientGevent:
    name = "tritonclient_gevent"

    def run(self, case: Case, bench: Bench) -> Measurement:
        settings, output = bench.folder / "case.json", bench.folder / "latencies.json"
        environment = write_settings(case, input_of(case, bench.server), settings, output=str(output))
        argv = locust(USERS / "tritonclient_user.py")
        argv += ["-H", bench.server.address, "-u", str(case.in_flight), "-r", str(case.in_flight)]
        argv += ["-t", f"{round(bench.timing.load_s + 1)}s", "--stop-timeout", str(STOP_S)]
        argv += ["--only-summary", "--loglevel", "WARNING"]
        before = bench.server.quiet(case.model)
        with Child(argv, bench.folder / "log", environment, bench.folder) as child:
            found = observe(bench.server, case.model, child, before, bench.timing)
            if not child.wait(bench.timing.end_s + STOP_S):
                return replace(found, notes=(f"{self.name} did not end, killed: no latencies",))
            if child.returncode != 0:
                raise PeerError(f"{self.name} ended with {child.returncode}: {child.last_lines}")
            return replace(found, **json.loads(output.read_text()))
