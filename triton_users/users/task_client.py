"""The client that a user's tasks call: tritonclient.grpc's names, sent and booked by the load engine."""

from __future__ import annotations

from typing import Any

from triton_users.client import InferenceServerClient, InferenceServerException
from triton_users.client.context import CallContext
from triton_users.client.tensors import ShapeKey
from triton_users.engine import Member, Pool
from triton_users.net import RpcError
from triton_users.step import RequestClass

_batching: dict[tuple[str, str], bool] = {}
"""Whether a model of a server batches: found out once for all users."""


def booked(error: Exception) -> bool:
    """Whether this is a measured request's failure, which the results hold with its status and message."""
    return getattr(error.__cause__, "of_the_load", False)


class TaskClient(InferenceServerClient):
    """``infer`` is measured as part of the run; control calls go over the same channel, unmeasured."""

    _needs_class = True

    def __init__(self, pool: Pool, member: Member) -> None:
        super().__init__("", channel=_LateChannel(pool))
        self._pool, self._member = pool, member

    def async_infer(self, *args: Any, **kwargs: Any) -> CallContext:
        """As tritonclient's; the request belongs to the arrival that its task serves, also when the task
        does not wait for it."""
        context = super().async_infer(*args, **kwargs)
        self._pool.promise(self._member)
        return context

    def _batched(self, model_name: str) -> bool:
        key = (self._pool.channel.target, model_name)
        if key not in _batching:
            _batching[key] = super()._batched(model_name)
        return _batching[key]

    def _learn_class(self, key: tuple[Any, ...], shapes: list[ShapeKey]) -> RequestClass:
        try:
            return super()._learn_class(key, shapes)
        except InferenceServerException:  # the request itself will say what is wrong, and be counted
            return RequestClass(key[0], 1, tuple(shapes))

    def _send(
        self,
        message: bytes,
        cls: RequestClass | None,
        deadline_ns: int | None,
        headers: tuple[tuple[bytes, bytes], ...],
    ) -> bytes:
        assert cls is not None
        try:
            return self._pool.infer(self._member, message, cls, headers, deadline_ns)
        except RpcError as error:
            error.of_the_load = True
            raise


class _LateChannel:
    """The pool's channel, which stands only once a step has been prepared."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def call(
        self,
        path: str,
        message: bytes,
        timeout_ns: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> bytes:
        return self._pool.channel.call(path, message, timeout_ns, headers)

    def close(self) -> None:
        """The channel is the worker's."""
