"""Free TCP ports on the loopback address."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

LOWEST, HIGHEST = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections, so that none of those takes one meanwhile."""


def free_ports(n: int) -> list[int]:
    """``n`` different ports that nobody listened on just now. Raises OSError when there seem to be none."""
    chosen: list[int] = []
    draw = random.SystemRandom()  # never the run's seed: two runs of one seed may start at once
    for _ in range(1_000):
        if len(chosen) == n:
            return chosen
        port = draw.randrange(LOWEST, HIGHEST)
        if port not in chosen and _is_free(port):
            chosen.append(port)
    raise OSError(f"no free port found on {LOOPBACK} between {LOWEST} and {HIGHEST}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
