"""One option's text to its value. Each function raises ValueError with what is wrong, quoting the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from triton_users import units
from triton_users.units import RequestRate

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""(input name, shape without the batch dimension), sorted by name."""

MAX_DURATION_NS = 366 * 24 * 3600 * units.NS_PER_S
MAX_SIZE = 2**31 - 1


def name(text: str) -> str:
    """Any text that is not blank."""
    if not text.strip():
        raise ValueError("nothing is given")
    return text.strip()


def version(text: str) -> str:
    """Triton's model versions are numbers from 1 on; text, since its protocol has them as text."""
    if units.parse_int(text) < 1:
        raise ValueError(f"{text.strip()!r}: versions start at 1")
    return str(int(text))


def seed(text: str) -> int:
    """A whole number that fits into 63 bits."""
    value = units.parse_int(text)
    if value >= 2**63:
        raise ValueError(f"{text.strip()!r} is too large")
    return value


def url(text: str) -> str:
    """An address of http or https, without a user, whose secret would be seen, and without a query."""
    found = text.strip().rstrip("/")
    if "@" in found:
        raise ValueError("an address must not hold a user or a password")
    try:
        parts = urlsplit(found)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{found!r} is no address: {error}") from error
    if parts.query or parts.fragment:
        raise ValueError("an address must not hold a query, whose secrets would be seen")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{found!r} is no address of http or https")
    return found


def addresses(text: str) -> tuple[str, ...]:
    """``gpu-box:9100,[::1]:9100``: each once, in the order given."""
    found: dict[str, None] = {}
    for part in text.split(","):
        address, colon, port = part.strip().rpartition(":")
        bare = address.startswith("[") or ":" not in address
        if not colon or not address or not bare or any(sign in address for sign in "@/ "):
            raise ValueError("one of them is not HOST:PORT")  # not quoted: what stands before an @ is secret
        if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError(f"{part.strip()!r}: {port!r} is not a port")
        found[f"{address}:{int(port)}"] = None
    return tuple(found)


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes only these words, in any case."""

    def parse(text: str) -> str:
        chosen = text.strip().lower()
        if chosen not in choices:
            raise ValueError(f"{text!r} is unknown")
        return chosen

    return parse


def whole(minimum: int) -> Callable[[str], int]:
    """A parser of whole numbers from ``minimum`` on."""

    def parse(text: str) -> int:
        value = units.parse_int(text)
        if value < minimum:
            raise ValueError(f"{value} is less than {minimum}")
        if value > MAX_SIZE:
            raise ValueError(f"{value} is too large")
        return value

    return parse


def duration(text: str, bare_unit: str, minimum_ns: int) -> int:
    """Nanoseconds, from ``minimum_ns`` to a year."""
    ns = units.parse_duration(text, bare_unit)
    if ns < minimum_ns:
        if minimum_ns == 1:
            raise ValueError(f"{text.strip()!r} is not above 0")
        raise ValueError(f"{text.strip()!r} is shorter than {units.format_duration(minimum_ns)}")
    if ns > MAX_DURATION_NS:
        raise ValueError(f"{text.strip()!r} is longer than a year")
    return ns


def batch_sizes(text: str) -> tuple[int, ...]:
    return _all_from_one(units.parse_int_range(text), "batch size")


def concurrencies(text: str) -> tuple[int, ...]:
    return _all_from_one(units.parse_int_range(text), "concurrency")


def _all_from_one(sizes: tuple[int, ...], what: str) -> tuple[int, ...]:
    for size in sizes:
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"a {what} of {size} is not possible")
    return sizes


def request_rates(text: str) -> tuple[RequestRate, ...]:
    """Rates in requests per second, or percentages of the best rate; all above 0."""
    rates = units.parse_rates(text)
    for rate in rates:
        if rate.value <= 0:
            raise ValueError(f"a rate of {rate.value:g}{' %' if rate.percent else '/s'} is not above 0")
        if rate.value > 1e9:
            raise ValueError(f"a rate of {rate.value:g} is too large")
    return rates


def batch_mix(text: str) -> tuple[tuple[int, float], ...]:
    """``1=80,8=20``: (batch size, weight)."""
    entries = _weights(text)
    mix = tuple((whole(1)(size), weight) for size, weight in entries)
    if len({size for size, _ in mix}) < len(mix):
        raise ValueError(f"{text.strip()!r}: a batch size stands in it twice")
    return mix


def shape_mix(text: str) -> tuple[tuple[Shapes, float], ...]:
    """``IN:1x64=70,IN:1x512=30``: (shapes, weight); ``A:1x64+B:1x64=70`` sets two inputs together."""
    mix = tuple((_sorted(part, map(shape, part.split("+"))), weight) for part, weight in _weights(text))
    inputs = {tuple(input_name for input_name, _ in shapes) for shapes, _ in mix}
    if len(inputs) > 1:
        raise ValueError(f"{text.strip()!r}: every entry must set the same inputs")
    if len({shapes for shapes, _ in mix}) < len(mix):
        raise ValueError(f"{text.strip()!r}: a shape stands in it twice")
    return mix


def shapes(text: str) -> Shapes:
    """``A:1,3,B:4``: one text for all, as Locust's web form joins a list by commas and splits it again."""
    pieces: list[str] = []
    for piece in text.split(","):
        if ":" in piece or not pieces:
            pieces.append(piece)
        else:
            pieces[-1] += "," + piece
    return _sorted(text, map(shape, pieces))


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """``NAME:1,64`` or ``NAME:1x64``. The name may contain colons; an empty shape is a scalar."""
    input_name, colon, dims = text.strip().rpartition(":")
    if not colon or not input_name:
        raise ValueError(f"{text.strip()!r} is not NAME:shape")
    if not dims:
        return input_name, ()
    try:
        sizes = tuple(units.parse_int(dim) for dim in re.split("[,x]", dims))
    except ValueError as error:
        raise ValueError(f"{text.strip()!r}: a dimension is not a whole number") from error
    if min(sizes) < 1:
        raise ValueError(f"{text.strip()!r}: a dimension is less than 1")
    return input_name, sizes


def _sorted(text: str, parsed: Iterable[tuple[str, tuple[int, ...]]]) -> Shapes:
    found = sorted(parsed)
    if len({input_name for input_name, _ in found}) < len(found):
        raise ValueError(f"{text.strip()!r}: an input stands in it twice")
    return tuple(found)


def _weights(text: str) -> list[tuple[str, float]]:
    entries: list[tuple[str, float]] = []
    for entry in text.split(","):
        key, equals, weight = entry.strip().rpartition("=")
        if not equals or not key:
            raise ValueError(f"{entry.strip()!r} has no weight")
        value = float(units.parse_number(weight))
        if value <= 0:
            raise ValueError(f"{entry.strip()!r}: the weight is not above 0")
        entries.append((key.strip(), value))
    return entries


def host(text: str) -> str:
    """``HOST``, ``HOST:PORT``, ``grpc://HOST:PORT``, ``[::1]:8001`` -> HOST:PORT, by default port 8001."""
    scheme, separator, rest = text.strip().rpartition("://")
    if separator and scheme.lower() in ("http", "https"):
        raise ValueError(f"{scheme.lower()}:// is an HTTP address, and requests go by gRPC")
    if separator and scheme.lower() != "grpc":
        raise ValueError(f"{scheme}:// is unknown")
    rest = rest.removesuffix("/")
    if "@" in rest or "/" in rest or not rest or any(letter.isspace() for letter in rest):
        # Not quoted: what stands before an @ is a password.
        raise ValueError("it is not HOST:PORT")
    address, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        address, port = rest, "8001"
    if not address.startswith("[") and ":" in address:
        raise ValueError(f"{rest!r}: write an IPv6 address in brackets, as in [::1]:8001")
    if not address or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{rest!r}: {port!r} is not a port" if address else f"{rest!r} has no host")
    return f"{address}:{int(port)}"
