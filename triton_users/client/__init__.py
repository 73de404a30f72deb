"""The names of ``tritonclient.grpc``, on a channel that lives with gevent.

``import triton_users.client as grpcclient`` takes the place of ``import tritonclient.grpc as grpcclient``.
"""

from tritonclient.grpc import (
    MAX_GRPC_MESSAGE_SIZE,
    InferenceServerClientPlugin,
    KeepAliveOptions,
    Request,
    model_config_pb2,
    raise_error_grpc,
    service_pb2,
    service_pb2_grpc,
)
from tritonclient.utils import (
    TRITON_RESERVED_REQUEST_PARAMS,
    TRITON_RESERVED_REQUEST_PARAMS_PREFIX,
    InferenceServerException,
    deserialize_bytes_tensor,
    np_to_triton_dtype,
    raise_error,
    serialize_byte_tensor,
    serialized_byte_size,
    triton_to_np_dtype,
)

from triton_users.client.client import InferenceServerClient
from triton_users.client.context import CallContext
from triton_users.client.result import InferResult
from triton_users.client.tensors import InferInput, InferRequestedOutput
from triton_users.client.transport import Channel

__all__ = [
    "MAX_GRPC_MESSAGE_SIZE",
    "TRITON_RESERVED_REQUEST_PARAMS",
    "TRITON_RESERVED_REQUEST_PARAMS_PREFIX",
    "CallContext",
    "Channel",
    "InferInput",
    "InferRequestedOutput",
    "InferResult",
    "InferenceServerClient",
    "InferenceServerClientPlugin",
    "InferenceServerException",
    "KeepAliveOptions",
    "Request",
    "deserialize_bytes_tensor",
    "model_config_pb2",
    "np_to_triton_dtype",
    "raise_error",
    "raise_error_grpc",
    "serialize_byte_tensor",
    "serialized_byte_size",
    "service_pb2",
    "service_pb2_grpc",
    "triton_to_np_dtype",
]
