"""What can go wrong with a whole connection. Each fault is a class that carries its code on the wire."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triton_users.wire.received import Received


class ErrorCode(IntEnum):
    """Why a stream or a connection was ended (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def code_name(code: int) -> str:
    """The name of an error code, or its number when it has none (unknown codes are legal)."""
    return ErrorCode(code).name if code in ErrorCode.__members__.values() else f"error code {code}"


class ProtocolError(Exception):
    """The server broke the protocol; the connection cannot be used any further.

    Faults that the RFC confines to one stream are raised too when only a broken server can cause them,
    which section 5.4.1 allows. ``received`` holds what the same call had gathered before the fault:
    the requests that did end, and in ``out`` the buffers still to be written, our GOAWAY being the last.
    """

    code = ErrorCode.PROTOCOL_ERROR
    received: Received | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FlowControlError(ProtocolError):
    """More bytes than a window had, or a window above 2^31 - 1 (RFC 9113 section 6.9)."""

    code = ErrorCode.FLOW_CONTROL_ERROR


class FrameSizeError(ProtocolError):
    """A frame whose length does not fit its type (RFC 9113 section 4.2)."""

    code = ErrorCode.FRAME_SIZE_ERROR


class CompressionError(ProtocolError):
    """A header block that cannot be decoded (RFC 9113 section 4.3)."""

    code = ErrorCode.COMPRESSION_ERROR


class ExcessError(ProtocolError):
    """Legal, but more than we are willing to hold in memory."""

    code = ErrorCode.ENHANCE_YOUR_CALM
