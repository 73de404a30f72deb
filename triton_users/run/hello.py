"""What a worker says of itself, and the master expects."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from locust.env import Environment

from triton_users.run import protocol as p
from triton_users.schedule import fingerprint
from triton_users.version import VERSION


def hello(environment: Environment) -> p.Hello:
    """Of this process. The digest is that of its locustfiles, whatever their names and places."""
    files: Any = environment.parsed_locustfiles or []
    digest = sha256()
    for file in files:
        path = Path(file)
        if path.is_file():
            digest.update(path.read_bytes())
    return p.Hello(
        version=VERSION,
        fingerprint=fingerprint(0),
        digest=digest.hexdigest()[:16],
        host=socket.gethostname(),
        pid=os.getpid(),
        address=_address(environment),
    )


def _address(environment: Environment) -> str:
    """Ours on the way to the master; a datagram socket knows it without sending anything.

    Only a worker looks up a name: that lets other greenlets run, and a master that does not listen yet would
    miss what its first workers say.
    """
    options: Any = environment.parsed_options
    if not options.worker:
        return "127.0.0.1"
    with suppress(OSError):
        found = socket.getaddrinfo(options.master_host, options.master_port, type=socket.SOCK_DGRAM)
        family, kind, number, _, address = found[0]
        with socket.socket(family, kind, number) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    return ""
