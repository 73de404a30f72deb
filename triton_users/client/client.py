"""InferenceServerClient with tritonclient.grpc's methods, on a channel that lives with gevent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self

from tritonclient._client import InferenceServerClientBase
from tritonclient.grpc import KeepAliveOptions, Request, service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.client.context import Callback, CallContext
from triton_users.client.control import ControlCalls, HeaderDict
from triton_users.client.message import MessageMaker, parameter_fields
from triton_users.client.result import InferResult
from triton_users.client.tensors import ShapeKey, shape_key
from triton_users.client.transport import (
    Channel,
    Headers,
    header_pairs,
    open_channel,
    raise_call_error,
    timeout_ns,
)
from triton_users.step import RequestClass

SERVICE = "/inference.GRPCInferenceService/"
MODEL_INFER = SERVICE + "ModelInfer"

NO_STREAMS = "streams are not supported yet: use infer or async_infer"

Parameters = Mapping[str, str | bool | int | float] | None


class InferenceServerClient(InferenceServerClientBase, ControlCalls):  # type: ignore[misc] # tritonclient has no types
    """A client of one Triton server, for use in greenlets.

    ``url`` is HOST:PORT. ``channel`` serves a client that should share one; it is then not closed with the
    client. ``keepalive_options`` and ``channel_args`` are accepted and have no effect.
    Raises InferenceServerException when TLS is asked for.
    """

    _needs_class = False
    """Whether ``_send`` wants to know the request's class; finding it may ask the server once a model."""

    def __init__(
        self,
        url: str,
        verbose: bool = False,
        ssl: bool = False,
        root_certificates: str | None = None,
        private_key: str | None = None,
        certificate_chain: str | None = None,
        creds: Any = None,
        keepalive_options: KeepAliveOptions | None = None,
        channel_args: Sequence[tuple[str, Any]] | None = None,
        *,
        channel: Channel | None = None,
    ) -> None:
        super().__init__()
        if ssl or creds:
            raise InferenceServerException("TLS is not supported yet: leave out ssl and creds")
        self._verbose = verbose
        self._own_channel = channel is None
        self._channel = open_channel(url) if channel is None else channel
        self._maker = MessageMaker()
        self._classes: dict[Any, RequestClass] = {}
        self._batching: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, unless the channel was given by the caller."""
        if self._own_channel:
            self._channel.close()

    # Seams for the load engine

    def _send(
        self,
        message: bytes,
        cls: RequestClass | None,
        deadline_ns: int | None,
        headers: Headers,
    ) -> bytes:
        """Sends one serialised ModelInferRequest and gives the serialised answer. The one way out of
        ``infer`` and ``async_infer``; a subclass that counts requests overrides it.

        ``cls`` is None unless ``_needs_class``; ``deadline_ns`` is how long to wait, in nanoseconds.
        Raises what a channel raises.
        """
        return self._channel.call(MODEL_INFER, message, deadline_ns, headers)

    def _batched(self, model_name: str) -> bool:
        """Whether the first dimension of the model's inputs is the batch: asked of the server, once."""
        known = self._batching.get(model_name)
        if known is None:
            known = self._batching[model_name] = self.get_model_config(model_name).config.max_batch_size > 0
        return known

    # Inference

    def infer(
        self,
        model_name: str,
        inputs: Sequence[Any],
        model_version: str = "",
        outputs: Sequence[Any] | None = None,
        request_id: str = "",
        sequence_id: int | str = 0,
        sequence_start: bool = False,
        sequence_end: bool = False,
        priority: int = 0,
        timeout: int | None = None,
        client_timeout: float | None = None,
        headers: HeaderDict = None,
        compression_algorithm: str | None = None,
        parameters: Parameters = None,
    ) -> InferResult:
        """One inference; blocks the greenlet.

        ``timeout`` is the server's limit for the request in its queue, in microseconds; ``client_timeout`` is
        how long to wait for the answer, in seconds. Raises InferenceServerException.
        """
        plain = not (sequence_id or priority or timeout is not None or parameters)
        sequence = (sequence_id, sequence_start, sequence_end)
        extra = b"" if plain else parameter_fields(sequence, priority, timeout, parameters)
        message = self._maker.make((model_name, model_version), inputs, outputs, request_id, extra)
        return self._transfer(
            message, *self._terms(model_name, inputs, client_timeout, headers, compression_algorithm)
        )

    def async_infer(
        self,
        model_name: str,
        inputs: Sequence[Any],
        callback: Callback,
        model_version: str = "",
        outputs: Sequence[Any] | None = None,
        request_id: str = "",
        sequence_id: int | str = 0,
        sequence_start: bool = False,
        sequence_end: bool = False,
        priority: int = 0,
        timeout: int | None = None,
        client_timeout: float | None = None,
        headers: HeaderDict = None,
        compression_algorithm: str | None = None,
        parameters: Parameters = None,
    ) -> CallContext:
        """As ``infer``, in a greenlet of its own: ``callback(result=, error=)`` is called there, one of the
        two None. The inputs may be changed as soon as this returns. Raises InferenceServerException when
        the arguments are wrong; what happens later goes to the callback."""
        sequence = (sequence_id, sequence_start, sequence_end)
        extra = parameter_fields(sequence, priority, timeout, parameters)
        message = self._maker.make((model_name, model_version), inputs, outputs, request_id, extra)
        terms = self._terms(model_name, inputs, client_timeout, headers, compression_algorithm)
        return CallContext(lambda: self._transfer(message, *terms), callback)

    def _terms(
        self,
        model_name: str,
        inputs: Sequence[Any],
        client_timeout: float | None,
        headers: HeaderDict,
        compression_algorithm: str | None,
    ) -> tuple[RequestClass | None, int | None, Headers]:
        """What ``_send`` wants besides the message."""
        if compression_algorithm is not None:
            raise InferenceServerException("compression is not supported: leave out compression_algorithm")
        return (
            self._class_of(model_name, inputs) if self._needs_class else None,
            None if client_timeout is None else timeout_ns(client_timeout),
            () if headers is None and self._plugin is None else self._pairs(headers),
        )

    def _transfer(
        self, message: bytes, cls: RequestClass | None, deadline_ns: int | None, headers: Headers
    ) -> InferResult:
        if self._verbose:
            self._report("ModelInfer", headers)
        try:
            return InferResult(self._send(message, cls, deadline_ns, headers))
        except Exception as error:
            raise_call_error(error)

    def _class_of(self, model_name: str, inputs: Sequence[Any]) -> RequestClass:
        shape_keys: list[ShapeKey] = [getattr(i, "_shape_key", None) or shape_key(i) for i in inputs]
        key = (model_name, *shape_keys)
        return self._classes.get(key) or self._learn_class(key, sorted(shape_keys))

    def _learn_class(self, key: tuple[Any, ...], shapes: list[ShapeKey]) -> RequestClass:
        """The class of requests to the model ``key[0]`` whose inputs have these shapes."""
        model_name, batch_size = key[0], 1
        if shapes and self._batched(model_name):
            batch_size = shapes[0][1][0]
            shapes = [(name, shape[1:]) for name, shape in shapes]
        cls = self._classes[key] = RequestClass(model_name, batch_size, tuple(shapes))
        return cls

    # Streams

    def start_stream(
        self,
        callback: Callback,
        stream_timeout: float | None = None,
        headers: HeaderDict = None,
        compression_algorithm: str | None = None,
    ) -> NoReturn:
        """Raises InferenceServerException: there are no streams yet."""
        raise InferenceServerException(NO_STREAMS)

    def stop_stream(self, cancel_requests: bool = False) -> None:
        """Nothing to do, as there is never a stream; harmless in code that cleans up after itself."""

    def async_stream_infer(
        self,
        model_name: str,
        inputs: Sequence[Any],
        model_version: str = "",
        outputs: Sequence[Any] | None = None,
        request_id: str = "",
        sequence_id: int | str = 0,
        sequence_start: bool = False,
        sequence_end: bool = False,
        enable_empty_final_response: bool = False,
        priority: int = 0,
        timeout: int | None = None,
        parameters: Parameters = None,
    ) -> NoReturn:
        """Raises InferenceServerException: there are no streams yet."""
        raise InferenceServerException(NO_STREAMS)

    # Calls

    def _call(self, method: str, request: Any, headers: HeaderDict, client_timeout: float | None) -> Any:
        pairs = self._pairs(headers)
        if self._verbose:
            self._report(method, pairs)
        answer = getattr(service_pb2, method + "Response")
        message = request.SerializeToString()
        try:
            return answer.FromString(
                self._channel.call(SERVICE + method, message, timeout_ns(client_timeout), pairs)
            )
        except Exception as error:
            raise_call_error(error)

    def _pairs(self, headers: HeaderDict) -> Headers:
        request = Request(dict(headers or {}))
        self._call_plugin(request)
        return header_pairs(request.headers)

    def _report(self, method: str, headers: Headers) -> None:
        """Names only: a header's value may be a secret."""
        names = ", ".join(name.decode() for name, _ in headers)
        print(f"{method}, headers: {names or 'none'}")
