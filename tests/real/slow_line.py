"""A long and lossy cable between two network namespaces, for kernels without netem.

    python slow_line.py SPACE DEVICE SPACE DEVICE DELAY_MS LOSS

Each end is a TAP device, made here in its namespace. Frames from the first end to the second take DELAY_MS
longer; of those of either direction the share LOSS is dropped. Says "ready" once both devices are there, and
runs until it is killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from pathlib import Path

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME = 65_536


def tap(space: str, device: str) -> int:
    """A new TAP device in a named namespace: what is sent on it is read here, and the other way round."""
    with Path("/var/run/netns", space).open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    found = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(found, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    return found


def pass_on(near: int, far: int, delay_s: float, loss: float) -> None:
    """For ever. One delay for all keeps the frames in order."""
    under_way: deque[tuple[float, bytes]] = deque()
    draw = random.Random(1)
    while True:
        wait_s = max(under_way[0][0] - time.monotonic(), 0) if under_way else None
        ready, _, _ = select.select([near, far], [], [], wait_s)
        for end in ready:
            frame = os.read(end, FRAME)
            if draw.random() < loss:
                continue
            if end == near:
                under_way.append((time.monotonic() + delay_s, frame))
            else:
                put(near, frame)
        while under_way and under_way[0][0] <= time.monotonic():
            put(far, under_way.popleft()[1])


def put(end: int, frame: bytes) -> None:
    try:
        os.write(end, frame)
    except OSError:
        """The device is down, or full: a cable loses what it cannot carry."""


def main(near_space: str, near: str, far_space: str, far: str, delay_ms: str, loss: str) -> None:
    ends = tap(near_space, near), tap(far_space, far)
    print("ready", flush=True)
    pass_on(*ends, float(delay_ms) / 1000, float(loss))


if __name__ == "__main__":
    main(*sys.argv[1:])
