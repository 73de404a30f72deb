"""What async_infer returns while the request is under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult

from triton_users.client.result import InferResult
from triton_users.client.transport import refused

Callback = Callable[..., object]


class CallContext:
    """One request in its own greenlet; ``callback(result=, error=)`` is called once, one of the two None."""

    def __init__(self, send: Callable[[], InferResult], callback: Callback) -> None:
        self._callback = callback
        self._outcome: Any = AsyncResult()
        gevent.spawn(self._run, send)

    def _run(self, send: Callable[[], InferResult]) -> None:
        try:
            result = send()
        except Exception as error:
            self._settle(None, error)
        else:
            self._settle(result, None)

    def _settle(self, result: InferResult | None, error: Exception | None) -> None:
        if self._outcome.ready():
            return
        if error is None:
            self._outcome.set(result)
        else:
            self._outcome.set_exception(error)
        self._callback(result=result, error=error)

    def cancel(self) -> None:
        """Stop waiting: the callback gets a CANCELLED error now.

        The request itself is left to end by itself, since cancelling one can crash Triton; what it
        answers is dropped.
        """
        self._settle(None, refused("Locally cancelled by application!", "CANCELLED"))

    def get_result(self, block: bool = True, timeout: float | None = None) -> InferResult:
        """The result, awaited by this greenlet for at most ``timeout`` seconds.

        Raises InferenceServerException if the request failed, was cancelled, or is still under way.
        """
        self._outcome.wait(timeout if block else 0)
        if not self._outcome.ready():
            raise refused("no answer yet", "DEADLINE_EXCEEDED")
        result: InferResult = self._outcome.get()
        return result
