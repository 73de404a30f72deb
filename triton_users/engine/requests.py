"""The encoded requests of one flow, and the endless drawing from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from triton_users.inputs.payloads import Payloads
from triton_users.net import grpc_timeout
from triton_users.schedule import picks
from triton_users.stats.recorder import Recorder
from triton_users.wire import Encoded, Head, encode

INFER_PATH = b"/inference.GRPCInferenceService/ModelInfer"
BLOCK = 2048
"""Requests drawn at a time: some 0.1 ms of work."""

Tags = npt.NDArray[np.int64]


@lru_cache(maxsize=1024)
def infer_head(timeout_ns: int | None, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Head:
    """The request headers of ModelInfer; a deadline goes to the server too. The same object for the same
    headers: a connection knows them by it."""
    return Head(INFER_PATH, (*headers, grpc_timeout(timeout_ns)) if timeout_ns else headers)


@dataclass(slots=True, eq=False)
class Drawn:
    """Requests drawn from those in ``encoded``: ``index`` intp[n], and their ``tags`` i8[n]."""

    encoded: Sequence[Encoded]
    index: npt.NDArray[np.intp]
    tags: Tags

    def items(self, start: int, end: int) -> list[Encoded]:
        """Those from ``start`` up to ``end``."""
        return list(map(self.encoded.__getitem__, self.index[start:end].tolist()))


class Requests:
    """Every distinct request of a flow, built once; ``draw`` picks among them by numbers in [0, 1)."""

    def __init__(self, payloads: Payloads, flow: str, recorder: Recorder, timeout_ns: int | None) -> None:
        head = infer_head(timeout_ns)
        self._payloads = payloads
        tags = [recorder.tag(flow, body.cls) for body in payloads.bodies]
        self._encoded = [encode(head, b.message, tag=t) for b, t in zip(payloads.bodies, tags, strict=True)]
        self._tags = np.asarray(tags, dtype=np.int64)

    def draw(self, numbers: npt.NDArray[np.float64]) -> Drawn:
        """One request for each number."""
        index = self._payloads.draw(numbers)
        return Drawn(self._encoded, index, self._tags[index])


class Numbered:
    """The closed loop's requests: numbered as they are sent, drawn in blocks from a stream of their own."""

    def __init__(self, requests: Requests, seed: int, stream: str) -> None:
        self._requests = requests
        self._seed, self._stream = seed, stream
        self._next = 0
        self._items: list[Encoded] = []
        self._tags: Tags = np.empty(0, dtype=np.int64)
        self._at = self._told = 0

    def one(self) -> Encoded:
        """The next request."""
        at = self._at
        if at == len(self._items):
            self._refill(1)
            at = self._at
        self._at = at + 1
        return self._items[at]

    def take(self, count: int) -> Sequence[Encoded]:
        """The next ``count`` requests."""
        if self._at + count > len(self._items):
            self._refill(count)
        at = self._at
        self._at = at + count
        return self._items[at : at + count]

    def taken(self) -> Tags:
        """The tags of those taken since the last call."""
        told, self._told = self._told, self._at
        return self._tags[told : self._at]

    def _refill(self, count: int) -> None:
        """Those before ``_told`` are of no further use."""
        more = max(BLOCK, count)
        drawn = self._requests.draw(picks(self._seed, self._stream, self._next, more))
        self._next += more
        self._items = self._items[self._told :] + drawn.items(0, more)
        self._tags = np.concatenate((self._tags[self._told :], drawn.tags))
        self._at -= self._told
        self._told = 0
