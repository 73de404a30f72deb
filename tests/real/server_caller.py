"""The smallest gRPC client that does: one blocking call, one connection each, by the h2 package.

Not grpcio: it blocks for ever once a test module has imported Locust, which monkey-patches sockets.
"""

from __future__ import annotations

import socket
import struct

import h2.config
import h2.connection
import h2.events
from tritonclient.grpc import service_pb2

STATUS = {
    "3": "INVALID_ARGUMENT",
    "4": "DEADLINE_EXCEEDED",
    "5": "NOT_FOUND",
    "13": "INTERNAL",
    "14": "UNAVAILABLE",
}


class CallError(Exception):
    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class PlainCaller:
    """A `triton_users.server.control.Caller` for tests; ``url`` is HOST:PORT."""

    def __init__(self, url: str) -> None:
        host, port = url.rsplit(":", 1)
        self.address = (host, int(port))

    def call(self, path: str, message: bytes, timeout_ns: int | None = None) -> bytes:
        try:
            with socket.create_connection(self.address, timeout=(timeout_ns or 30_000_000_000) / 1e9) as sock:
                return _exchange(sock, path, struct.pack(">BI", 0, len(message)) + message)
        except OSError as error:
            raise CallError("UNAVAILABLE", str(error)) from error

    def infer(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferResponse:
        data = self.call("/inference.GRPCInferenceService/ModelInfer", request.SerializeToString())
        return service_pb2.ModelInferResponse.FromString(data)


def infer_request(model: str, **inputs: tuple[str, list[int], bytes]) -> service_pb2.ModelInferRequest:
    """A request with raw inputs: name = (datatype, shape, bytes)."""
    request = service_pb2.ModelInferRequest(model_name=model)
    for name, (datatype, shape, raw) in inputs.items():
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    return request


def _exchange(sock: socket.socket, path: str, body: bytes) -> bytes:
    http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    http.initiate_connection()
    http.increment_flow_control_window(2**31 - 1 - 65_535)
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "test",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    http.send_headers(1, list(headers.items()))
    http.increment_flow_control_window(2**31 - 1 - 65_535, 1)
    answer, given, sent, ended = bytearray(), {}, 0, False
    while not ended:
        room = min(http.local_flow_control_window(1), http.max_outbound_frame_size)
        while sent < len(body) and room > 0:
            http.send_data(1, body[sent : sent + room], end_stream=sent + room >= len(body))
            sent += room
            room = min(http.local_flow_control_window(1), http.max_outbound_frame_size)
        sock.sendall(http.data_to_send())
        data = sock.recv(1 << 20)
        if not data:
            raise CallError("UNAVAILABLE", "the connection was closed")
        for event in http.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                answer += event.data
            elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                given.update(event.headers)
            elif isinstance(
                event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated
            ):
                ended = True
    code = given.get("grpc-status", "14")
    if code != "0":
        raise CallError(STATUS.get(code, code), given.get("grpc-message", ""))
    return bytes(answer[5:])
