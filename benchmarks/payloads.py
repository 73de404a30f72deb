"""The same inputs for every peer: a model's input, Perf Analyzer's data file, a gRPC body for h2load."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from benchmarks.measurement import Case

if TYPE_CHECKING:
    from benchmarks.server import Server

SEED = 1


@dataclass(frozen=True, slots=True)
class Input:
    """The one FP32 input of a bench model: ``shape`` without, ``wire_shape`` with the batch dimension."""

    name: str
    shape: tuple[int, ...]
    wire_shape: tuple[int, ...]


def input_of(case: Case, server: Server) -> Input:
    """As the model's metadata says; a variable dimension becomes ``case.elements``."""
    metadata = server.metadata(case.model)
    [tensor] = metadata.inputs
    batched = server.max_batch_size(case.model) > 0
    dims = [int(dim) for dim in tensor.shape][1 if batched else 0 :]
    if case.elements is not None:
        dims = [case.elements if dim < 0 else dim for dim in dims]
    if any(dim < 0 for dim in dims) or tensor.datatype != "FP32":
        raise ValueError(f"{case.name}: cannot make {tensor.name} {tensor.datatype} {dims}")
    return Input(tensor.name, tuple(dims), (1, *dims) if batched else tuple(dims))


def arrays(case: Case, tensor: Input) -> list[npt.NDArray[np.float32]]:
    """``case.payloads`` distinct inputs with their shape on the wire."""
    rng = np.random.default_rng(SEED)
    return [rng.random(tensor.wire_shape, dtype=np.float32) for _ in range(case.payloads)]


def write_perf_analyzer_data(case: Case, tensor: Input, path: Path) -> None:
    """Perf Analyzer's --input-data file; it adds the batch dimension itself."""
    steps = [
        {
            tensor.name: {
                "content": {"b64": base64.b64encode(array.tobytes()).decode()},
                "shape": list(tensor.shape),
            }
        }
        for array in arrays(case, tensor)
    ]
    path.write_text(json.dumps({"data": steps}))


def write_settings(case: Case, tensor: Input, path: Path, **more: str) -> dict[str, str]:
    """What the locustfiles of the bench read; returns the environment that tells them where it is."""
    wanted = {"model": case.model, "input": tensor.name, "wire_shape": tensor.wire_shape}
    path.write_text(json.dumps({**wanted, "payloads": case.payloads, **more}))
    return {"BENCH_CASE": str(path)}


def write_body(case: Case, tensor: Input, path: Path) -> None:
    """One request as a gRPC message: a byte for "not compressed", four of length, the protobuf."""
    request = service_pb2.ModelInferRequest(model_name=case.model)
    request.inputs.add(name=tensor.name, datatype="FP32", shape=tensor.wire_shape)
    request.raw_input_contents.append(bytes(4 * prod(tensor.wire_shape)))
    message = request.SerializeToString()
    path.write_bytes(struct.pack(">BI", 0, len(message)) + message)
