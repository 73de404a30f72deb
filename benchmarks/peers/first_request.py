"""From the command to the first answered request, embedded Triton included.

Seen from outside: the tritonserver that the command starts is found in its process tree and asked for its
statistics, so no claim of the product itself is taken for the time.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

import psutil
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from benchmarks.measurement import Bench, Case, Measurement, PeerError
from benchmarks.peers.locust_command import ROOT, locust
from benchmarks.processes import Child

POLL_S = 0.02
CALL_S = 1.0
LIMIT_S = 60.0


def grpc_address(command_line: list[str]) -> str | None:
    """HOST:PORT from tritonserver's options, written as `--name value` or `--name=value`."""
    words = [part for word in command_line for part in word.split("=", 1)]
    options = dict(itertools.pairwise(words))
    if "--grpc-port" not in options:
        return None
    return f"{options.get('--grpc-address', '127.0.0.1')}:{options['--grpc-port']}"


def server_below(child: Child) -> str | None:
    for process in child.tree():
        try:
            if process.name() == "tritonserver":
                return grpc_address(process.cmdline())
        except psutil.NoSuchProcess:
            continue
    return None


def answered(client: Any) -> bool:
    try:
        statistics = client.get_inference_statistics(client_timeout=CALL_S)
    except InferenceServerException:
        return False
    return any(one.inference_stats.success.count for one in statistics.model_stats)


class FirstRequest:
    name = "ours_embedded"

    def run(self, case: Case, bench: Bench) -> Measurement:
        argv = [*locust(ROOT / "locustfiles" / "sr.py"), "--results", str(bench.folder / "results")]
        client: Any = None
        with Child(argv, bench.folder / "log", cwd=ROOT) as child:
            try:
                while child.alive:
                    passed_s = time.monotonic() - child.started_s
                    if passed_s > LIMIT_S:
                        raise PeerError(f"no request within {LIMIT_S:.0f} s: {child.last_lines}")
                    if client is None and (address := server_below(child)):
                        client = grpcclient.InferenceServerClient(address)
                    if client is not None and answered(client):
                        return Measurement(first_request_s=time.monotonic() - child.started_s)
                    time.sleep(POLL_S)
                raise PeerError(f"it ended with {child.returncode}: {child.last_lines}")
            finally:
                if client is not None:
                    client.close()
