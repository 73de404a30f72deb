"""Records what real servers send on a gRPC connection, byte for byte, for the tests of the parser.

Run from the root after `make setup`, where nghttpx and nginx are (Debian: nghttp2-proxy, nginx-light):
    .venv/bin/python -m tests.recordings.record_wire
It writes wire-triton.json, those of the proxies (the same Triton behind them) and wire-grpcio.json here anew.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import platform
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import started
from tests.real.proxies import nghttpx, nginx, program
from tests.real.server_caller import PlainCaller, infer_request
from triton_users import demo
from triton_users.server.control import Control
from triton_users.wire import Connection, Encoded, Head, Status, encode

HERE = Path(__file__).parent
INFER = Head(b"/inference.GRPCInferenceService/ModelInfer")
WINDOW = 65_535
"""The smallest that HTTP/2 allows, and what the tests play the recordings back with."""
LARGE = 24_000
"""Bytes: more than one frame of the default size."""


class Asked(NamedTuple):
    """A request, and the status that its answer must have."""

    item: Encoded
    status: Status = Status.OK


PROXIES = {"nghttpx": nghttpx, "nginx": partial(nginx, requests=1000)}

Groups = Sequence[Sequence[Asked]]
"""What is sent at once; each group follows when the one before it is answered."""


def conversation(name: str, url: str, groups: Groups, then: Callable[[], None] | None = None) -> Any:
    """Everything that the server says. After the last group is sent comes ``then``, and the server has to
    close the connection."""
    wire = Connection(url, window=WINDOW)
    host, port = url.split(":")
    said, kept, statuses = bytearray(), b"", dict[int, int]()
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(wire.start())
        for group in groups:
            tickets = [(len(statuses) + i,) for i in range(len(group))]
            sock.sendall(b"".join(wire.send([asked.item for asked in group], tickets)))
            if then is not None and group is groups[-1]:
                then()
            while wire.live or (then is not None and group is groups[-1]):
                heard = sock.recv(1 << 16)
                if not heard:
                    break
                said += heard
                view = memoryview(kept + heard)
                got = wire.receive(view)
                kept = bytes(view[got.used :])
                statuses |= {ticket[0]: 0 for ticket in got.ok}
                statuses |= {ticket[0]: status for ticket, status, _ in got.other}
                sock.sendall(b"".join(got.out))
    wanted = [int(asked.status) for group in groups for asked in group]
    found = [statuses.get(number) for number in range(len(wanted))]
    assert found == wanted, f"{name}: {found}, not {wanted}"
    return {"name": name, "statuses": wanted, "stream": base64.b64encode(said).decode()}


# What is asked of each server


def infer(batch: int, length: int = 16, model: str = "identity", status: Status = Status.OK) -> Asked:
    raw = random.Random(batch * length).randbytes(4 * batch * length)
    request = infer_request(model, INPUT0=("FP32", [batch, length], raw))
    return Asked(encode(INFER, request.SerializeToString()), status)


def of_triton(url: str) -> list[Any]:
    small, batch, large = infer(1), infer(8), infer(1, LARGE // 4)
    missing = infer(1, model="no_model", status=Status.NOT_FOUND)
    too_many = infer(100, status=Status.INVALID_ARGUMENT)
    return [
        conversation("small", url, [[small], [small], [small] * 10]),
        conversation("batch mix", url, [[small, batch] * 3, [small] * 3 + [batch] * 3]),
        conversation("errors", url, [[small] * 4 + [missing, too_many], [small, missing, small, small]]),
        conversation("large", url, [[large], [small] * 8]),
    ]


def echo(message: bytes, path: bytes = INFER.path, status: Status = Status.OK) -> Asked:
    return Asked(encode(Head(path), message), status)


def of_grpcio(server: subprocess.Popen[str], url: str) -> list[Any]:
    small, large = echo(b"message"), echo(b"m" * LARGE)
    error = echo("Eno % such «model»\n".encode(), status=Status.INVALID_ARGUMENT)
    missing = echo(b"", b"/some.Service/Missing", Status.UNIMPLEMENTED)

    def go_away() -> None:
        time.sleep(0.4)  # of the second that the answers take
        server.terminate()

    return [
        conversation("small", url, [[small], [small], [small] * 10]),
        conversation("errors", url, [[small] * 4 + [error, missing], [small, error, small, small]]),
        conversation("large", url, [[large], [small] * 8]),
        conversation("graceful stop", url, [[small] * 6, [echo(b"S")] * 4], go_away),
    ]


# The servers


def write(name: str, server: str, conversations: list[Any]) -> None:
    origin = {
        "made_by": "tests/recordings/record_wire.py",
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "server": server,
        "python": platform.python_version(),
    }
    path = HERE / f"wire-{name}.json"
    path.write_text(json.dumps({"origin": origin, "conversations": conversations}, indent=1) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes, {server}")


def record_triton() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = started(demo.build(folder / "models", ["identity"]), folder / "server.log")
        stack.callback(server.stop)
        triton = f"Triton {Control(PlainCaller(server.url)).server_metadata()[1]}"
        write("triton", triton, of_triton(server.url))
        for name, start in PROXIES.items():
            proxy = start(server.url, folder)
            stack.callback(proxy.stop)
            write(name, f"{version_of(name)} before {triton}", of_triton(proxy.url))


def version_of(name: str) -> str:
    asked = subprocess.run([program(name, name), "-v"], capture_output=True, text=True, check=True)
    return (asked.stdout + asked.stderr).strip()


def record_grpcio() -> None:
    command = [sys.executable, "-m", "tests.fakes.grpc_echo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"127.0.0.1:{int(server.stdout.readline())}"
            write("grpcio", f"grpcio {version('grpcio')}", of_grpcio(server, url))
        finally:
            server.kill()


if __name__ == "__main__":
    record_triton()
    record_grpcio()
