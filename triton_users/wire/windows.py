"""Flow control (RFC 9113 sections 5.2 and 6.9): what we may send, and what we have allowed the server.

Sizes are bytes of DATA payloads, padding included.
"""

from __future__ import annotations

from typing import Final

from triton_users.wire.errors import FlowControlError

MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
"""Every window's size until a peer says otherwise."""


def grown(window: int, increment: int) -> int:
    """A send window after the server enlarged it; a window above the maximum is an error."""
    if window + increment > MAX_WINDOW:
        raise FlowControlError(f"a window of {window} bytes cannot grow by {increment}")
    return window + increment


class ReceiveWindow:
    """A window of ours, topped up as soon as half of it was used.

    Bytes are counted when the head of their frame is read: we never hold back a consumer, so nothing is
    gained by waiting for the payload. ``quiet`` is how many can still arrive before an update is due.
    """

    __slots__ = ("_half", "_size", "quiet")

    def __init__(self, size: int) -> None:
        self._size = size
        self._half = (size + 1) // 2
        self.quiet = self._half - 1

    def take(self, n: int) -> int:
        """Count ``n`` bytes; the increment to send to the server, or 0 if none is due."""
        if n <= self.quiet:
            self.quiet -= n
            return 0
        used = self._half - 1 - self.quiet + n
        if used > self._size:
            raise FlowControlError(f"the server sent {used} bytes into a window of {self._size}")
        self.quiet = self._half - 1
        return used
