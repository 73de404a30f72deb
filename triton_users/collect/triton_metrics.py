"""Triton's own metrics page, in Prometheus' text format: each value as it stands there, under Triton's name.

Counters grow from the server's start. Names that triton_users.metrics does not know (those of a backend or of
a newer Triton) are kept in the files.
"""

from __future__ import annotations

import http.client
import importlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from triton_users.collect.sensor import Absent, Failed, Reading
from triton_users.metrics import BY_NAME

TIMEOUT_S = 1.0
LARGEST_BYTES = 4 << 20
LABELS = {"gpu_uuid": "uuid"}
"""Triton's label to ours."""

Group = tuple[dict[str, str], bool, list[tuple[str, int]]]
"""Labels of ours, whether it is for the files alone, and by name the place of a value in the page."""


class TritonMetrics:
    """``url`` is http(s)://HOST:PORT/PATH. ``guessed``: nobody gave it, so that nothing there is no fault."""

    source = "triton_metrics"

    def __init__(self, url: str, *, guessed: bool = False) -> None:
        self._url, self._parts = url, urlsplit(url)
        self._advice = "give --metrics-url" if guessed else "is --metrics-url right, and the server up?"
        self._connection: http.client.HTTPConnection | None = None
        self._page: Page

    def open(self) -> None:
        try:
            parser = importlib.import_module("prometheus_client.parser")
        except ImportError as error:
            raise Absent(
                "prometheus-client is not installed (in the checkout: pip install '.[agent]')"
            ) from error
        self._page = Page(parser.text_string_to_metric_families)
        if not any(self.sample(0)):
            self.close()
            raise Failed(f"{self._url} shows no metrics: {self._advice}")

    def sample(self, now_ns: int) -> Iterator[Reading]:
        try:
            yield from self._page.readings(self._read())
        except ValueError as error:
            raise Failed(f"{self._url} is no page of metrics: {error}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self) -> str:
        """The page; once more where a kept connection has been closed by the server meanwhile."""
        kept = self._connection is not None
        try:
            return self._get()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not kept:
                raise Failed(f"{self._url} does not answer ({_reason(error)}): {self._advice}") from error
        return self._read()

    def _get(self) -> str:
        if self._connection is None:
            secure = self._parts.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_S)
        path = f"{self._parts.path or '/metrics'}{'?' if self._parts.query else ''}{self._parts.query}"
        self._connection.request("GET", path)
        with self._connection.getresponse() as answer:
            page = answer.read(LARGEST_BYTES + 1)
        if answer.status != http.HTTPStatus.OK or len(page) > LARGEST_BYTES:
            self.close()
            why = f"{answer.status} {answer.reason}" if answer.status != http.HTTPStatus.OK else "a huge page"
            raise Failed(f"{self._url} answers {why}: {self._advice}")
        return page.decode(errors="replace")


class Page:
    """Reads a page that comes again and again. The parser is the truth: how it has read a page tells how to
    read the next ones, as long as these differ from it in their values alone, at a tenth of the cost."""

    def __init__(self, families: Callable[[str], Iterable[Any]]) -> None:
        self._families = families
        self._heads: list[str] | None = None
        self._groups: list[Group] = []

    def readings(self, page: str) -> Iterator[Reading]:
        """One reading for each set of labels; with names that are no metrics of ours, one more for the files.

        Raises ValueError for what is no page of metrics.
        """
        lines = [line.rpartition(" ") for line in page.split("\n") if line and line[0] != "#"]
        heads = [head for head, _, _ in lines]
        if heads == self._heads:
            values = [float(value) for _, _, value in lines]
        else:
            samples = [sample for family in self._families(page) for sample in family.samples]
            values = [sample.value for sample in samples]
            self._groups = groups(samples)
            # Lines with instants, or in an order that is not the parser's, are left to the parser.
            self._heads = heads if _same(values, [value for _, _, value in lines]) else None
        for labels, detail, places in self._groups:
            found = {name: values[place] for name, place in places if math.isfinite(values[place])}
            if found:  # a summary without observations says nothing
                yield Reading(labels, found, detail)


def groups(samples: Sequence[Any]) -> list[Group]:
    """The samples' places by their labels; those with names of ours first."""
    known: dict[tuple[tuple[str, str], ...], list[tuple[str, int]]] = {}
    others: dict[tuple[tuple[str, str], ...], list[tuple[str, int]]] = {}
    for place, sample in enumerate(samples):
        name = _name(sample.name)
        into = known if name in BY_NAME else others
        into.setdefault(_labels(sample.labels), []).append((name, place))
    return [
        (dict(labels), detail, places)
        for found, detail in ((known, False), (others, True))
        for labels, places in found.items()
    ]


def _same(values: Sequence[float], texts: Sequence[str]) -> bool:
    """Whether the texts are these values, one for one."""
    try:
        return len(values) == len(texts) and all(map(_equal, values, map(float, texts)))
    except ValueError:
        return False


def _equal(value: float, other: float) -> bool:
    return value == other or (math.isnan(value) and math.isnan(other))


def _name(name: str) -> str:
    """The parser gives counters the ending that OpenMetrics wants, and Triton's pages do not have."""
    bare = name.removesuffix("_total")
    return bare if bare in BY_NAME else name


def _labels(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((LABELS.get(name, name), text) for name, text in labels.items()))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
