"""The settings of both sides (RFC 9113 section 6.5)."""

from __future__ import annotations

from typing import Final

from triton_users.wire import frames
from triton_users.wire.errors import ExcessError, FlowControlError, FrameSizeError, ProtocolError
from triton_users.wire.windows import DEFAULT_WINDOW, MAX_WINDOW

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

MAX_HEADER_LIST: Final = 32 * 1024
"""Bytes of one response's headers that we decode, counted as in RFC 9113 section 6.5.2."""

MAX_SETTINGS: Final = 16 * 1024
"""Bytes of one SETTINGS frame that we read: there are six settings of six bytes."""


def opening(window: int) -> bytes:
    """Everything a client says before its first request (section 3.4).

    The connection's window has no setting and is enlarged by an update.
    """
    ours = {
        ENABLE_PUSH: 0,
        INITIAL_WINDOW_SIZE: window,
        MAX_FRAME_SIZE: frames.LARGEST_MAX_FRAME_SIZE,
        MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
    }
    start = frames.PREFACE + frames.settings(ours)
    extra = window - DEFAULT_WINDOW
    return start + frames.window_update(0, extra) if extra else start


NO_TABLE: Final = frames.settings({HEADER_TABLE_SIZE: 0})
"""Asks the server to send header blocks that leave our table empty."""


class PeerSettings:
    """What the server allows us; the defaults hold until its SETTINGS arrive."""

    __slots__ = ("header_table_size", "initial_window", "max_concurrent", "max_frame_size")

    def __init__(self) -> None:
        self.header_table_size = 4096
        self.max_concurrent = 2**32
        self.initial_window = DEFAULT_WINDOW
        self.max_frame_size = frames.SMALLEST_MAX_FRAME_SIZE

    def apply(self, payload: memoryview) -> None:
        """Take the values of one SETTINGS frame, in order, after checking each."""
        if len(payload) % 6:
            raise FrameSizeError(f"SETTINGS of {len(payload)} bytes")
        if len(payload) > MAX_SETTINGS:
            raise ExcessError(f"SETTINGS of {len(payload)} bytes")
        for setting, value in frames.parse_settings(payload):
            if setting == HEADER_TABLE_SIZE:
                self.header_table_size = value
            elif setting == ENABLE_PUSH:
                if value:
                    raise ProtocolError("a server cannot enable push")
            elif setting == MAX_CONCURRENT_STREAMS:
                self.max_concurrent = value
            elif setting == INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise FlowControlError(f"an initial window of {value} bytes")
                self.initial_window = value
            elif setting == MAX_FRAME_SIZE:
                if not frames.SMALLEST_MAX_FRAME_SIZE <= value <= frames.LARGEST_MAX_FRAME_SIZE:
                    raise ProtocolError(f"a largest frame of {value} bytes")
                self.max_frame_size = value
