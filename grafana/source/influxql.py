"""Texts of InfluxQL with Grafana's variables in them. Every name must be in the points' schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triton_users.sinks.points_schema import BY_NAME_OF_MEASUREMENT

TIME, EVERY = "$timeFilter", "time($__interval)"
RATE = "* 1000 / $__interval_ms"
"""A count of an interval, per second."""
LABELS = ("model", "version", "gpu", "uuid", "cpu", "zone", "rail", "nic", "disk")
"""The sensors' own tags of ``sample`` that dashboards use."""
SELECTED = {"run": "run", "step": "step", "model": "model", "worker": "worker", "host": "host"}
"""Tags that a variable of that name filters."""


@dataclass(frozen=True, slots=True)
class From:
    """A measurement of the schema; ``only`` are conditions of every query on it."""

    measurement: str
    only: tuple[str, ...] = ()

    def field(self, name: str) -> str:
        """The field, quoted. Raises KeyError for a name that the schema does not have."""
        known = BY_NAME_OF_MEASUREMENT[self.measurement]
        if name not in known.fields and name not in (own for own, _ in known.own):
            raise KeyError(f"{self.measurement} has no field {name}")
        return f'"{name}"'

    def tag(self, name: str) -> str:
        """The tag, quoted. Raises KeyError likewise."""
        known = BY_NAME_OF_MEASUREMENT[self.measurement].tags
        if name not in known and not (self.measurement == "sample" and name in LABELS):
            raise KeyError(f"{self.measurement} has no tag {name}")
        return f'"{name}"'

    def where(self, tag: str, value: str) -> From:
        """The same with one more condition."""
        return From(self.measurement, (*self.only, f"{self.tag(tag)} = '{value}'"))

    def among(self, tag: str, *values: str) -> From:
        """The same where the tag has one of the values."""
        return From(self.measurement, (*self.only, f"{self.tag(tag)} =~ /^({'|'.join(values)})$/"))

    # Columns

    def total(self, name: str, shown: str | None = None) -> str:
        return _shown(f"sum({self.field(name)})", shown)

    def rate(self, name: str, shown: str | None = None) -> str:
        """A counter's growth per second."""
        return _shown(f"sum({self.field(name)}) {RATE}", shown)

    def largest(self, name: str, shown: str | None = None) -> str:
        return _shown(f"max({self.field(name)})", shown)

    def mean(self, name: str, shown: str | None = None) -> str:
        return _shown(f"mean({self.field(name)})", shown)

    def grown(self, name: str, shown: str | None = None) -> str:
        """Of a total: how much it has grown since the first interval."""
        return _shown(f"cumulative_sum(non_negative_difference(last({self.field(name)})))", shown)

    # Queries

    def every(self, *columns: str, by: Sequence[str] = (), selected: Sequence[str] = ("run",)) -> str:
        """A value for each interval, and for each of the tags ``by``."""
        groups = ", ".join((EVERY, *map(self.tag, by)))
        return f"{self._select(columns)}{self._filter(selected)} GROUP BY {groups} fill(null)"

    def weighted(
        self, names: Sequence[str], by_count: str, by: Sequence[str], selected: Sequence[str] = ("run",)
    ) -> str:
        """As ``every``: means of ``names``, which are means themselves, each over ``by_count`` things.

        Where there were none there is no value, while 0 / 0 is 0 in InfluxQL.
        """
        count = self.field(by_count)
        products = ", ".join(f'{self.field(name)} * {count} AS "{name} all"' for name in names)
        inner = f'SELECT {products}, {count} AS "things"{self._from()}{self._filter(selected)}'
        columns = ", ".join(f'sum("{name} all") / sum("things") AS "{name}"' for name in names)
        tags = ", ".join(map(self.tag, by))
        # The outer condition tells the intervals where to begin and end.
        ends = f"WHERE {TIME} GROUP BY {EVERY}, {tags} fill(null)"
        return f"SELECT {columns} FROM ({inner} GROUP BY {tags}) {ends}"

    def once(self, *columns: str, by: Sequence[str] = (), selected: Sequence[str] = ("run",)) -> str:
        """One value of all that is selected, whatever time is shown, for each of the tags ``by``."""
        groups = f" GROUP BY {', '.join(map(self.tag, by))}" if by else ""
        return f"{self._select(columns)}{self._where(*self._chosen(selected))}{groups}"

    def rows(
        self, tags: Sequence[str], fields: Sequence[str], selected: Sequence[str] = ("run",), end: str = ""
    ) -> str:
        """The points themselves."""
        columns = (*map(self.tag, tags), *map(self.field, fields))
        return f"{self._select(columns)}{self._filter(selected)}{end}"

    def ever(self, tags: Sequence[str], fields: Sequence[str], most: int) -> str:
        """The newest points of all time, whatever is selected."""
        columns = (*map(self.tag, tags), *map(self.field, fields))
        return f"{self._select(columns)}{self._where()} ORDER BY time DESC LIMIT {most}"

    def values(self, tag: str) -> str:
        """Which values a tag has in the selected runs."""
        return f"SHOW TAG VALUES{self._from()} WITH KEY = {self.tag(tag)}{self._where(matches('run'))}"

    def _select(self, columns: Sequence[str]) -> str:
        return f"SELECT {', '.join(columns)}{self._from()}"

    def _from(self) -> str:
        return f' FROM "{self.measurement}"'

    def _filter(self, selected: Sequence[str]) -> str:
        return self._where(TIME, *self._chosen(selected))

    def _chosen(self, selected: Sequence[str]) -> Iterator[str]:
        for name in selected:
            self.tag(name)
            yield matches(name)

    def _where(self, *conditions: str) -> str:
        return f" WHERE {' AND '.join((*conditions, *self.only))}"


def matches(variable: str) -> str:
    """The condition that a tag has one of the values selected in the variable of its name.

    As a regular expression: Grafana writes (a|b) where several are selected.
    """
    return f'"{SELECTED[variable]}" =~ /^${variable}$/'


def _shown(column: str, name: str | None) -> str:
    return column if name is None else f'{column} AS "{name}"'
