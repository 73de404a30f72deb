"""What the client stands on, and how it speaks to it: channel, headers, timeouts, errors."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import NoReturn, Protocol

from tritonclient.utils import InferenceServerException

from triton_users.units import NS_PER_S

Headers = tuple[tuple[bytes, bytes], ...]
HeaderValue = str | bytes

_NAME = re.compile(r"[0-9a-z_.\-]+\Z")
_VALUE = re.compile(r"[\x20-\x7e]*\Z")


class Channel(Protocol):
    """One server's connections. ``triton_users.net.Channel`` is the real one."""

    def call(self, path: str, message: bytes, timeout_ns: int | None = None, headers: Headers = ()) -> bytes:
        """The answer to one unary call; blocks the greenlet.

        Raises an exception with ``status`` (a gRPC status name, such as "UNAVAILABLE") and ``message``.
        """

    def close(self) -> None: ...


def open_channel(url: str) -> Channel:
    """A channel to HOST:PORT."""
    from triton_users import net  # noqa: PLC0415 - a client that is given its channel needs no network

    return net.open_channel(url)


def timeout_ns(seconds: float | None) -> int | None:
    """At least 1 ns: a timeout of 0 ends the call at once and is not the same as none."""
    return None if seconds is None else max(1, round(seconds * NS_PER_S))


def header_pairs(headers: Mapping[str, HeaderValue]) -> Headers:
    """Headers as gRPC sends them. Names are made lower-case; values of names in "-bin" are bytes in base64.

    Raises InferenceServerException for what HTTP/2 cannot carry, without the value, which may be a secret.
    """
    return tuple(_pair(name, value) for name, value in headers.items())


def _pair(name: str, value: HeaderValue) -> tuple[bytes, bytes]:
    lower = name.lower()
    if not _NAME.match(lower):
        raise InferenceServerException(f"header {name!r} is not a name that gRPC can send")
    if lower.endswith("-bin"):
        binary = value.encode() if isinstance(value, str) else bytes(value)
        return lower.encode(), base64.b64encode(binary).rstrip(b"=")
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not _VALUE.match(text):
        raise InferenceServerException(f"the value of header {name!r} must be printable ASCII")
    return lower.encode(), text.encode()


def refused(message: str, status: str) -> InferenceServerException:
    """``status`` is a gRPC status name. The text that tritonclient's users compare with has a prefix."""
    return InferenceServerException(message, status=f"StatusCode.{status}")


def raise_call_error(error: Exception) -> NoReturn:
    """Raises what a channel raised as InferenceServerException, and anything else as it is."""
    status = getattr(error, "status", None)
    if isinstance(status, str):
        raise refused(str(getattr(error, "message", error)), status) from error
    raise error
