"""gRPC status codes, and those that stand for faults of HTTP (gRPC spec, "HTTP2 Transport Mapping")."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """How a request ended; 0 is success."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @classmethod
    def from_http(cls, code: int) -> Status:
        """The status of an answer that has only an HTTP status (a proxy's, say), never 200."""
        return _OF_HTTP.get(code, cls.UNKNOWN)

    @classmethod
    def from_rst(cls, code: int) -> Status:
        """The status of a stream that the server reset with this HTTP/2 error code."""
        return _OF_RST.get(code, cls.UNKNOWN)


_OF_HTTP = {
    400: Status.INTERNAL,
    401: Status.UNAUTHENTICATED,
    403: Status.PERMISSION_DENIED,
    404: Status.UNIMPLEMENTED,
    429: Status.UNAVAILABLE,
    502: Status.UNAVAILABLE,
    503: Status.UNAVAILABLE,
    504: Status.UNAVAILABLE,
}

# STREAM_CLOSED (5) and HTTP_1_1_REQUIRED (13) have no mapping in the spec: UNKNOWN.
_OF_RST = {
    0: Status.INTERNAL,
    1: Status.INTERNAL,
    2: Status.INTERNAL,
    3: Status.INTERNAL,
    4: Status.INTERNAL,
    6: Status.INTERNAL,
    7: Status.UNAVAILABLE,
    8: Status.CANCELLED,
    9: Status.INTERNAL,
    10: Status.INTERNAL,
    11: Status.RESOURCE_EXHAUSTED,
    12: Status.PERMISSION_DENIED,
}
