"""A worker's windows: kept, and sent again, until the master has them on disk."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import gevent

from triton_users.clock import now_ns
from triton_users.run import protocol as p
from triton_users.run.pause import beside_load
from triton_users.stats.codec import encode as encode_window
from triton_users.stats.window import Window
from triton_users.units import NS_PER_S

REPEAT_NS = 4 * NS_PER_S
REPEATED = 10
"""Windows sent again at a time: a master that cannot write them is not to drown in them."""
MOST = 900
"""Windows kept for a master that does not acknowledge: a quarter of an hour of them, 5 to 30 MB."""


class KeptWindows:
    """The windows of run ``run`` that ``say`` has sent and that are not acknowledged. ``broke`` hears of a
    greenlet that has failed."""

    def __init__(self, run: str, say: Callable[[Any], None], broke: Callable[[Any], None]) -> None:
        self._run, self._say, self._broke = run, say, broke
        self._cut: deque[Window] = deque()
        self._sent: OrderedDict[int, tuple[int, p.WindowSent]] = OrderedDict()
        """By number: when it was sent last, which is also their order, and the window."""

    def add(self, window: Window) -> None:
        """The cut was a stall of the load already: the rest of the work waits until answers were heard."""
        self._cut.append(window)
        gevent.spawn(self._pass_on_later).link_exception(self._broke)

    def _pass_on_later(self) -> None:
        beside_load()
        self.pass_on()

    def pass_on(self) -> None:
        """Send what was added, now."""
        while self._cut:
            window = self._cut.popleft()
            sent = p.WindowSent(self._run, window.seq, encode_window(window))
            self._sent[window.seq] = (now_ns(), sent)
            if len(self._sent) > MOST:
                del self._sent[min(self._sent)]
            self._say(sent)

    def on_disk(self, seqs: Iterable[int]) -> None:
        """These are the master's now."""
        for seq in seqs:
            self._sent.pop(seq, None)

    def repeat(self) -> None:
        """Send again what has not been acknowledged for long: a broken connection may have lost it."""
        now = now_ns()
        for seq, (sent_ns, window) in list(islice(self._sent.items(), REPEATED)):
            if now - sent_ns < REPEAT_NS:
                return
            self._sent[seq] = (now, window)
            self._sent.move_to_end(seq)
            self._say(window)

    def send_again(self, seqs: Iterable[int]) -> None:
        """These, at once: the master asks for them."""
        for seq in seqs:
            if seq in self._sent:
                self._say(self._sent[seq][1])
