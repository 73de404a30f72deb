"""The network: sockets and precise timers under gevent, and a channel that survives its connections."""

from triton_users.net.call import Call, Ended, grpc_timeout, in_hub, status_name
from triton_users.net.channel import Channel
from triton_users.net.errors import NO_ANSWER, ConnectionLost, RpcError
from triton_users.net.listener import Listener, Source, Ticket
from triton_users.net.timer import Timer

__all__ = [
    "NO_ANSWER", "Call", "Channel", "ConnectionLost", "Ended", "Listener", "RpcError", "Source", "Ticket",
    "Timer", "grpc_timeout", "in_hub", "open_channel", "status_name",
]  # fmt: skip


def open_channel(url: str) -> Channel:
    """A channel for calls to HOST:PORT; it connects with its first call."""
    return Channel(url)
