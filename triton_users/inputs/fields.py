"""The little of protobuf's encoding that lets a request be made of parts serialised earlier.

The fields of a message may come in any order and from several pieces, so a tensor is wrapped by putting a
tag and a length before it, and never passes through a message object, which would copy it twice.
"""

from __future__ import annotations

from tritonclient.grpc import service_pb2

LENGTH_DELIMITED = 2


def varint(value: int) -> bytes:
    """Base-128, least significant group first. ``value`` >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int) -> bytes:
    """What precedes the length of field ``number`` when it holds bytes, a string or a message."""
    return varint(number << 3 | LENGTH_DELIMITED)


def field(number: int, content: bytes) -> bytes:
    """The whole of field ``number`` with ``content`` as its bytes, string or serialised message."""
    return b"".join((tag(number), varint(len(content)), content))


_RAW_TAG = tag(service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER)


def raw_prefix(length: int) -> bytes:
    """What precedes a raw tensor of ``length`` bytes in a ModelInferRequest."""
    return _RAW_TAG + varint(length)
