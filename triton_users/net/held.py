"""Requests without a connection: they wait for one, or fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from triton_users.clock import now_ns
from triton_users.net.listener import Listener, report
from triton_users.wire import Encoded, Status


class Held(NamedTuple):
    """A request that waits for a connection, and its ticket or call. ``again``: it was sent before, on a
    connection whose server did not take it."""

    item: Encoded
    entry: Any
    again: bool


def fail(held: Iterable[Held], listener: Listener, status: int, reason: str, without: str) -> None:
    """These wait no longer. Those sent once fail with ``status`` for this reason, those never sent as
    UNAVAILABLE, for want (``without``) of a connection."""
    now = now_ns()
    for _, entry, again in held:
        failure = (status, reason.encode()) if again else (Status.UNAVAILABLE, without.encode())
        try:
            if type(entry) is tuple:
                listener.failed(entry if again else (entry[0], 0, entry[2]), *failure, now)
            else:
                if not again:
                    entry.sent_ns = 0
                entry.finish(*failure, now)
        except Exception:
            report(listener)
