"""The client half of gRPC over HTTP/2, without a socket, a clock or a log.

``Connection`` turns requests into buffers to write and received bytes into ended requests. Standards:
RFC 9113 (HTTP/2), RFC 7541 (HPACK) and gRPC's "gRPC over HTTP2" protocol page ("the gRPC spec" below).
"""

from triton_users.wire.connection import Connection
from triton_users.wire.errors import CompressionError, FlowControlError, FrameSizeError, ProtocolError
from triton_users.wire.received import Received
from triton_users.wire.request import Encoded, Head, encode
from triton_users.wire.status import Status

__all__ = [
    "CompressionError",
    "Connection",
    "Encoded",
    "FlowControlError",
    "FrameSizeError",
    "Head",
    "ProtocolError",
    "Received",
    "Status",
    "encode",
]
