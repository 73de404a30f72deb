"""Each demo model, as a real Triton serves it."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import FIXED_TIME_NS
from tests.real.server_caller import CallError, PlainCaller, infer_request
from triton_users.server.embedded import EmbeddedTriton

SIZES = {
    **{"BOOL": 1, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "UINT8": 1, "UINT16": 2, "UINT32": 4},
    **{"UINT64": 8, "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8},
}


@pytest.fixture
def caller(triton: EmbeddedTriton) -> PlainCaller:
    return PlainCaller(triton.url)


def test_espcn_enlarges_each_picture_of_a_batch(caller: PlainCaller) -> None:
    pictures = np.random.default_rng(2).random((2, 1, 224, 224), np.float32)
    answer = caller.infer(infer_request("espcn", input=("FP32", [2, 1, 224, 224], pictures.tobytes())))
    assert list(answer.outputs[0].shape) == [2, 1, 672, 672]
    enlarged = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(2, 1, 672, 672)
    # A pixel's own place is the middle of the nine that it becomes, where the filter is 1 for it alone.
    np.testing.assert_allclose(enlarged[:, :, 1::3, 1::3], pictures, atol=1e-5)


@pytest.mark.parametrize(("model", "length"), [("identity", 5), ("identity", 1000), ("identity_16", 16)])
def test_identity(caller: PlainCaller, model: str, length: int) -> None:
    raw = np.arange(2 * length, dtype=np.float32).tobytes()
    for _ in range(2):  # executed, then from the cache
        answer = caller.infer(infer_request(model, INPUT0=("FP32", [2, length], raw)))
        assert answer.raw_output_contents[0] == raw


def test_identity_16_takes_no_other_length(caller: PlainCaller) -> None:
    with pytest.raises(CallError, match="INVALID_ARGUMENT"):
        caller.infer(infer_request("identity_16", INPUT0=("FP32", [1, 8], bytes(32))))


def test_types(caller: PlainCaller) -> None:
    inputs = {
        f"IN_{name}": (name, [2, 4], bytes(n % 2 for n in range(8 * size))) for name, size in SIZES.items()
    }
    texts = [b"", b"a", b"\xff\x00", b"long" * 100] * 2
    inputs["IN_BYTES"] = ("BYTES", [2, 4], b"".join(len(text).to_bytes(4, "little") + text for text in texts))
    answer = caller.infer(infer_request("types", **inputs))
    given = {
        output.name: (output.datatype, list(output.shape), raw)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    assert given == {name.replace("IN", "OUT", 1): value for name, value in inputs.items()}


def test_fixed_time_takes_it(caller: PlainCaller) -> None:
    spans = []
    for _ in range(4):
        answer = caller.infer(infer_request("fixed_time", INPUT0=("INT64", [1], bytes(8))))
        times = dict(zip((o.name for o in answer.outputs), answer.raw_output_contents, strict=True))
        spans.append([int.from_bytes(times[name], "little") for name in ("START_NS", "END_NS")])
    took = [end - start for start, end in spans]
    assert min(took) >= FIXED_TIME_NS
    assert min(took) < 20 * FIXED_TIME_NS, "a busy machine may take longer now and then"
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_recording_keeps_a_line_for_each_request(caller: PlainCaller, demo_repository: Path) -> None:
    record = demo_repository.parent / "record"
    before = len(record.read_text().splitlines())
    inputs = [number.to_bytes(8, "little") for number in (7, 8, 7)]
    for raw in inputs:
        caller.infer(infer_request("recording", INPUT0=("INT64", [1], raw)))
    lines = [line.split() for line in record.read_text().splitlines()[before:]]
    assert [digest for digest, _ in lines] == [hashlib.sha256(raw).hexdigest()[:16] for raw in inputs]
    times = [int(at_ns) for _, at_ns in lines]
    assert times == sorted(times)


def test_failing_fails_every_second_request(caller: PlainCaller) -> None:
    outcomes = []
    for _ in range(6):
        try:
            caller.infer(infer_request("failing", INPUT0=("FP32", [1, 2], bytes(8))))
            outcomes.append("ok")
        except CallError as error:
            assert error.status == "INTERNAL"
            assert error.message == 'as "ordered"'
            outcomes.append("failed")
    assert sorted(outcomes[:2]) == ["failed", "ok"]
    assert outcomes == outcomes[:2] * 3
