"""Raw encoding, checked by tritonclient's own decoding of what was sent."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from triton_users.inputs import fields, tensors
from triton_users.inputs.tensors import NUMPY_DTYPES, TensorSpec

FIXED = sorted(set(NUMPY_DTYPES) - {"BYTES", "BF16"})


@given(st.data(), st.sampled_from(FIXED))
def test_fixed_size_types_are_their_little_endian_bytes(data: st.DataObject, dtype: str) -> None:
    array = data.draw(hnp.arrays(NUMPY_DTYPES[dtype], hnp.array_shapes(min_dims=0, min_side=0)))
    assert bytes(tensors.encode(array, dtype)) == array.tobytes()
    assert bytes(tensors.encode(np.asfortranarray(array), dtype)) == array.tobytes()


def test_other_byte_orders_are_turned() -> None:
    array = np.arange(5, dtype=">i4")
    assert tensors.dtype_fits(array, "INT32")
    assert bytes(tensors.encode(array, "INT32")) == array.astype("<i4").tobytes()


def test_a_contiguous_tensor_is_not_copied() -> None:
    array = np.ones((3, 4), np.float32)
    assert np.shares_memory(np.frombuffer(tensors.encode(array, "FP32"), np.uint8), array)


@given(st.lists(st.binary() | st.text(), max_size=8))
def test_strings_have_their_length_before_them(items: list[bytes | str]) -> None:
    array = np.empty(len(items), object)
    array[:] = items
    raw = bytes(tensors.encode(array, "BYTES"))
    back, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        back.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    assert back == [item.encode() if isinstance(item, str) else item for item in items]


@given(hnp.arrays(np.float32, 16))
def test_bfloat16_is_rounded_as_ml_dtypes_does(array: np.ndarray) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with np.errstate(all="ignore"):
        want = array.astype(ml_dtypes.bfloat16)
    got = np.frombuffer(tensors.encode(array, "BF16"), ml_dtypes.bfloat16)
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))
    assert bytes(tensors.encode(want, "BF16")) == want.tobytes()


def test_types_that_do_not_fit() -> None:
    assert not tensors.dtype_fits(np.zeros(2), "FP32")
    assert not tensors.dtype_fits(np.array([b"a", 3], object), "BYTES")
    assert not tensors.dtype_fits(np.zeros(2, complex), "FP32")
    assert tensors.dtype_fits(np.array([b"a", "b"], object), "BYTES")
    assert tensors.dtype_fits(np.array(["ab", "c"]), "BYTES")
    assert tensors.dtype_fits(np.zeros(2, np.float32), "BF16")


def test_a_spec_knows_which_shapes_it_takes() -> None:
    spec = TensorSpec("A", "FP32", (-1, 3))
    assert spec.variable
    assert spec.accepts((7, 3))
    assert not spec.accepts((7, 4))
    assert not spec.accepts((3,))
    assert str(spec) == "A FP32 [-1, 3]"


@given(st.integers(0, 2**63))
def test_varint_reads_back(value: int) -> None:
    back = 0
    for index, byte in enumerate(fields.varint(value)):
        back |= (byte & 0x7F) << 7 * index
    assert back == value
    assert all(byte & 0x80 for byte in fields.varint(value)[:-1])
