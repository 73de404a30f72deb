"""grpcio's server in a process of its own (it does not mix with gevent): answers every method by its request.

``python -m tests.fakes.grpc_echo`` prints its port. The first byte of a message may ask for something else:
``E`` an error with the rest as its text, ``S`` a second's sleep.
"""

from __future__ import annotations

import signal
import threading
import time
from concurrent import futures

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method.endswith("/Missing"):
            return None
        return grpc.unary_unary_rpc_method_handler(answer)


def answer(message: bytes, context: grpc.ServicerContext) -> bytes:
    if message[:1] == b"E":
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, message[1:].decode())
    if message[:1] == b"S":
        time.sleep(1)
    return message


def main() -> None:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Echo(),), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    stopping.wait()
    server.stop(2).wait()  # graceful: GOAWAY, then what is in flight


if __name__ == "__main__":
    main()
