"""Faults of a call, with gRPC's status names."""

from __future__ import annotations

NO_ANSWER = -1
"""Not a gRPC status: no answer when the drain ended."""


class RpcError(Exception):
    """A call that ended without an answer of status OK.

    ``status`` is gRPC's name ("UNAVAILABLE"); ``message`` what the server or the connection said.
    """

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.of_the_load = False
        """It was a measured request: the recorder has booked how it ended."""


class ConnectionLost(Exception):  # noqa: N818 - what happened, whoever is to blame
    """The transport ended: refused, reset, closed by the peer, or the peer broke the protocol."""
