"""Header blocks: ours, encoded once per ``Head``, and the server's, decoded once per distinct block.

Either side keeps a table of fields that the other enters (HPACK, RFC 7541). While a table stays as it is,
equal blocks mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from hpack import Decoder, Encoder, HPACKError, OversizedHeaderListError

from triton_users.wire import frames
from triton_users.wire.errors import CompressionError, ExcessError
from triton_users.wire.request import Head
from triton_users.wire.settings import MAX_HEADER_LIST
from triton_users.wire.status import Status

USER_AGENT: Final = b"grpc-python-triton-users/0.1"

TABLE_SIZE: Final = 4096
"""Bytes of a header table, of ours and at most of the server's: its size before any SETTINGS."""

MOST_CHANGES: Final = 64
"""Changes of our table after which the server should use none: its fields do not repeat. Triton changes it
twice, with the headers and the trailers of its first response, and once more for each new status."""

MAX_CACHED_HEADS: Final = 1024
MAX_CACHED_BLOCKS: Final = 1024
MAX_CACHED_BLOCK: Final = 1024
"""Bytes of a response block worth remembering; longer ones are rare error messages."""

# Both are whole entries of HPACK's static table (RFC 7541 appendix A), as is ":scheme".
_POST: Final = (b":method", b"POST")
_ENTRY_OVERHEAD: Final = 32


class RequestBlocks:
    """The header block of each ``Head``; must be sent in the order in which they were asked for.

    The first block of a head enters its fields into the server's table, later ones are a few index bytes.
    Indices count from the newest entry, so whatever enters a field makes every remembered block void.
    Fields enter only while they fit: an eviction would leave remembered blocks pointing at nothing. What
    does not fit is sent as a literal each time, which takes bytes but never the table.
    """

    def __init__(self, authority: str, scheme: str) -> None:
        self._authority = authority.encode("ascii")
        self._scheme = scheme.encode("ascii")
        self._cache: dict[Head, bytes] = {}
        self.openings: dict[int, tuple[Head, bytes, bytes]] = {}
        """By identity of a head: itself, and what stands before and after the stream id of its frame."""
        self._start(TABLE_SIZE)

    def _start(self, size: int) -> None:
        self._encoder = Encoder()
        self._encoder.header_table_size = size
        self._size = size
        self._free = size
        self._known = {_POST, (b":scheme", b"http"), (b":scheme", b"https")}
        self._clear()

    def _clear(self) -> None:
        self._cache.clear()
        self.openings.clear()

    def resize(self, allowed: int) -> None:
        """Obey the server's SETTINGS_HEADER_TABLE_SIZE, in bytes.

        The next block says 0 and then the new size (RFC 7541 section 4.2): both tables are empty then,
        which needs no thought about what survives.
        """
        size = min(allowed, TABLE_SIZE)
        if size == self._size:
            return
        self._start(size)
        self._encoder.table_size_changes = [0, size] if size else [0]
        self._encoder.header_table.resized = True

    def block(self, head: Head) -> bytes:
        """The block to send now for this head; one that may be sent again is remembered.

        In ``openings`` by identity, since hashing a ``Head`` costs more than the rest of a small request.
        """
        block = self._cache.get(head)
        if block is None:
            first = self._encoder.header_table.resized
            free = self._free
            block = self._encoder.encode(list(self._fields(head)))
            if self._free != free or first:
                self._clear()
                return block
            if len(self._cache) >= MAX_CACHED_HEADS:
                self._clear()
            self._cache[head] = block
        if id(head) not in self.openings and len(block) <= frames.SMALLEST_MAX_FRAME_SIZE:
            if len(self.openings) >= MAX_CACHED_HEADS:
                self.openings.clear()
            before = frames.id_less(len(block), frames.HEADERS, frames.END_HEADERS)
            self.openings[id(head)] = (head, before, block)  # holding the head keeps its id its own
        return block

    def _fields(self, head: Head) -> Iterable[tuple[bytes, bytes, bool]]:
        """(name, value, whether it must not enter the table) in the gRPC spec's order."""
        fields = (
            _POST,
            (b":scheme", self._scheme),
            (b":path", head.path),
            (b":authority", self._authority),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", USER_AGENT),
            (b"grpc-accept-encoding", b"identity"),
            *head.headers,
        )
        for field in fields:
            size = _ENTRY_OVERHEAD + len(field[0]) + len(field[1])
            literal = field not in self._known and size > self._free
            if not literal and field not in self._known:
                self._known.add(field)
                self._free -= size
            yield (*field, literal)


class Block(NamedTuple):
    """What one of the server's header blocks means to a client of gRPC.

    http      :status, None in trailers; -1 when it is no number
    grpc      whether the content type is gRPC's
    status    grpc-status, None when absent; numbers unknown to us and non-numbers are UNKNOWN
    message   grpc-message, percent-decoded, valid UTF-8
    """

    http: int | None
    grpc: bool
    status: int | None
    message: bytes

    @property
    def interim(self) -> bool:
        """A 1xx response: another one follows (RFC 9113 section 8.1)."""
        return self.http is not None and 100 <= self.http < 200


class ResponseBlocks:
    """Decodes the server's header blocks, every one and in order. ``changes`` counts those that have changed
    the table: whatever is remembered of earlier blocks is void then."""

    def __init__(self) -> None:
        self.changes = 0
        self._cache: dict[bytes, Block] = {}
        self._decoder = Decoder(MAX_HEADER_LIST)

    def block(self, raw: bytes) -> Block:
        block = self._cache.get(raw)
        if block is None:
            before = self._table()
            block = self._decode(raw)
            if self._table() != before:
                self.changes += 1
                self._cache.clear()
            elif len(raw) <= MAX_CACHED_BLOCK:
                if len(self._cache) >= MAX_CACHED_BLOCKS:
                    self._cache.clear()
                self._cache[raw] = block
        return block

    def remembered(self, raw: bytes) -> Block | None:
        """The block if it was decoded before, and changes nothing."""
        return self._cache.get(raw)

    def _table(self) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
        """All that the meaning of later blocks depends on."""
        table = self._decoder.header_table
        return table.maxsize, tuple(table.dynamic_entries)

    def _decode(self, raw: bytes) -> Block:
        try:
            fields = {bytes(name): bytes(value) for name, value in self._decoder.decode(raw, raw=True)}
        except OversizedHeaderListError as error:
            raise ExcessError(str(error)) from error
        except HPACKError as error:
            raise CompressionError(
                f"a header block that cannot be decoded: {type(error).__name__}"
            ) from error
        http = fields.get(b":status")
        status = fields.get(b"grpc-status")
        return Block(
            None if http is None else _number(http, -1),
            _is_grpc(fields.get(b"content-type", b"")),
            None if status is None else _status(status),
            percent_decode(fields.get(b"grpc-message", b"")),
        )


def _number(digits: bytes, otherwise: int) -> int:
    return int(digits) if digits.isdigit() and len(digits) <= 3 else otherwise


def _status(digits: bytes) -> int:
    number = _number(digits, Status.UNKNOWN)
    return number if number <= Status.UNAUTHENTICATED else Status.UNKNOWN


def _is_grpc(content_type: bytes) -> bool:
    """application/grpc, also with a suffix (+proto) or parameters, but not application/grpc-web."""
    rest = content_type.lower().removeprefix(b"application/grpc")
    return rest != content_type.lower() and rest[:1] in (b"", b"+", b";")


_HEX: Final = {b"%x%x" % (i >> 4, i & 15): i for i in range(256)}


def percent_decode(raw: bytes) -> bytes:
    """A grpc-message as UTF-8. What is no escape stays as it is: the spec asks not to lose a message."""
    first, *parts = raw.split(b"%")
    text = bytearray(first)
    for part in parts:
        byte = _HEX.get(part[:2].lower())
        if byte is None:
            text += b"%" + part
        else:
            text.append(byte)
            text += part[2:]
    return text.decode("utf-8", "replace").encode()
