"""``python -m triton_users.collect.child JSON``: the agent beside a run. Lines go to standard output.

It samples this host and the run's Triton, and collects from the agents of other hosts. The token for these
comes in the environment. It ends with its parent, or when nobody reads.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from triton_users.collect.outbox import Outbox
from triton_users.collect.remote import Remote
from triton_users.collect.sampler import Sampler
from triton_users.collect.sensor import Note
from triton_users.collect.sensors import TritonAt, host_sensors, triton_sensors
from triton_users.collect.token import VARIABLE
from triton_users.process import give_way

STDOUT = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What the child is told; no secrets, since everybody can read a command line."""

    zero_ns: int
    triton: TritonAt = field(default_factory=TritonAt)
    agents: Sequence[str] = ()

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Job:
        told = json.loads(text)
        return cls(told["zero_ns"], TritonAt(**told["triton"]), tuple(told["agents"]))


class Names:
    """Tells hosts of one name apart: all but the first are called by their address."""

    def __init__(self, own: str) -> None:
        self._taken = {own: ""}
        self._lock = threading.Lock()

    def __call__(self, name: str, address: str) -> str:
        with self._lock:
            return name if self._taken.setdefault(name, address) == address else address


def run(job: Job, token: str, outbox: Outbox) -> None:
    """Write until nobody reads."""
    host = socket.gethostname()
    names = Names(host)
    sampler = Sampler(host, [*host_sensors(), *triton_sensors(job.triton)], outbox.put, zero_ns=job.zero_ns)
    sampler.start()
    for address in job.agents:
        Remote(address, token, outbox.put, job.zero_ns, names).start()
    told = 0
    while lines := outbox.take():
        while lines:
            lines = lines[os.write(STDOUT, lines) :]
        if outbox.dropped > told:
            told = outbox.dropped
            outbox.put(
                [Note("agent", host, "failed", f"{told} samples were dropped: the run did not take them")]
            )


def main(arguments: Sequence[str]) -> int:
    """The child beside a run: samples until the run ends."""
    give_way()
    with contextlib.suppress(BrokenPipeError):  # the run has ended
        run(Job.of(arguments[0]), os.environ.pop(VARIABLE, ""), Outbox())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
