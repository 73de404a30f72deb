"""Windows to bytes and back: what a worker sends each second.

MessagePack of plain lists. A histogram's buckets travel as differences, and those and the counts in the
narrowest integers that hold them all; big sums travel as bytes, for MessagePack ends at 64 bits. Nothing is
deflated: that took half a millisecond of the load's time for a third of the size, and a window is some
hundredth of the traffic that it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from triton_users.stats.histogram import narrow_counts
from triton_users.stats.merge import COUNTERS
from triton_users.stats.window import Generator, Hist, Key, Series, Window
from triton_users.step import RequestClass

FORMAT = 4
_WIDTHS = (np.uint8, np.uint16, np.uint32, np.uint64)


class CodecError(ValueError):
    """These bytes are not a window of this format."""


def encode(window: Window) -> bytes:
    """The window in bytes.

    Measured for one class with three wide histograms: 1 kB at 100 requests in the window, 8 kB at 1,000,
    28 kB at 10,000; in 0.1 to 0.3 ms.
    """
    generator = window.generator
    parts = [
        FORMAT,
        [window.worker, window.seq, window.second, window.step, window.start_ns, window.end_ns],
        [window.in_flight_start, window.in_flight_end, window.users],
        [generator.cpu_ratio, generator.loop_stall_max_ns, generator.loop_stalls, generator.gc_collections],
        list(window.messages),
        list(window.unplanned),
        [window.lost_between_ns, window.unanswered_ns],
        *_pack_all(window.series),
    ]
    packed: bytes = msgpack.packb(parts)
    return packed


def decode(data: bytes) -> Window:
    """The window that was encoded, equal in every field. Raises CodecError."""
    try:
        parts = msgpack.unpackb(data)
        if parts[0] != FORMAT:
            raise CodecError(f"a window of format {parts[0]!r}, not {FORMAT}: the versions differ")
        return _window(parts)
    except CodecError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, msgpack.UnpackException) as error:
        raise CodecError(f"not a window: {error}") from error


def _window(parts: list[Any]) -> Window:
    _, place, load, generator, messages, unplanned, spans, classes, series = parts
    worker, seq, second, step, start_ns, end_ns = place
    in_flight_start, in_flight_end, users = load
    lost_between_ns, unanswered_ns = (None if span is None else (span[0], span[1]) for span in spans)
    return Window(
        worker=worker,
        seq=seq,
        second=second,
        step=step,
        start_ns=start_ns,
        end_ns=end_ns,
        series=_unpack_all(classes, series),
        in_flight_start=in_flight_start,
        in_flight_end=in_flight_end,
        users=users,
        generator=Generator(*generator),
        messages=tuple((status, message, count) for status, message, count in messages),
        unplanned=tuple((flow, trial, count) for flow, trial, count in unplanned),
        lost_between_ns=lost_between_ns,
        unanswered_ns=unanswered_ns,
    )


def _pack_all(series: Mapping[Key, Series]) -> list[Any]:
    classes: dict[RequestClass, int] = {}
    packed = [
        _pack_series(key, classes.setdefault(key.cls, len(classes)), one) for key, one in series.items()
    ]
    return [[(cls.model, cls.batch_size, cls.input_shapes) for cls in classes], packed]


def _unpack_all(classes: list[Any], series: list[Any]) -> dict[Key, Series]:
    known = [
        RequestClass(model, batch_size, tuple((name, tuple(dims)) for name, dims in shapes))
        for model, batch_size, shapes in classes
    ]
    return dict(_unpack_series(known, one) for one in series)


def _pack_series(key: Key, cls: int, series: Series) -> list[Any]:
    counters = [getattr(series, name) for name in COUNTERS]
    hists = {name: _pack_hist(hist) for name, hist in series.hists.items()}
    return [key.flow, cls, key.trial, counters, series.failed, hists]


def _unpack_series(classes: list[RequestClass], parts: list[Any]) -> tuple[Key, Series]:
    flow, cls, trial, counters, failed, hists = parts
    found = {name: _unpack_hist(hist) for name, hist in hists.items()}
    named = dict(zip(COUNTERS, counters, strict=True))
    return Key(flow, classes[cls], trial), Series(**named, failed=failed, hists=found)


def _pack_hist(hist: Hist) -> list[Any]:
    steps = np.diff(hist.index.astype(np.int64), prepend=0)
    numbers = [hist.total, hist.min, hist.max, hist.clamped]
    return [len(steps), _narrow(steps), _narrow(hist.count), numbers, _big(hist.sum), _big(hist.sum_squares)]


def _unpack_hist(parts: list[Any]) -> Hist:
    length, steps, count, numbers, total_ns, squares = parts
    total, smallest, largest, clamped = numbers
    return Hist(
        _wide(steps, length).cumsum(dtype=np.uint16),
        narrow_counts(_wide(count, length)),
        total,
        int.from_bytes(total_ns, "little"),
        int.from_bytes(squares, "little"),
        smallest,
        largest,
        clamped,
    )


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "little")


def _narrow(values: npt.NDArray[Any]) -> bytes:
    """Little-endian integers, as wide as the largest needs; their number tells the width."""
    largest = int(values.max(initial=0))
    width = next(width for width in _WIDTHS if largest <= np.iinfo(width).max)
    return values.astype(np.dtype(width).newbyteorder("<")).tobytes()


def _wide(data: bytes, length: int) -> npt.NDArray[np.unsignedinteger[Any]]:
    """What ``_narrow`` made, as wide as it came."""
    return np.frombuffer(data, f"<u{len(data) // length}") if length else np.empty(0, np.uint8)
