"""The SDK's missing types for InfluxDB: a query in InfluxQL, and an annotation that is made by one.

The keys are those that Grafana's data source "influxdb" reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Self

from grafana_foundation_sdk.cog import builder, runtime, variants
from grafana_foundation_sdk.models.dashboard import (
    AnnotationPanelFilter,
    AnnotationQuery,
    DataSourceRef,
)

TYPE = "influxdb"
SOURCE = DataSourceRef(type_val=TYPE, uid="${datasource}")
"""The data source that the variable says."""
Format = Literal["time_series", "table"]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InfluxQuery(variants.Dataquery):
    """``alias`` names the series: $tag_run, $col."""

    query: str
    alias: str = ""
    result_format: Format = "time_series"
    ref_id: str = "A"

    def to_json(self) -> dict[str, object]:
        return {
            "refId": self.ref_id,
            "datasource": SOURCE.to_json(),
            "rawQuery": True,
            "query": self.query,
            "alias": self.alias,
            "resultFormat": self.result_format,
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(data["query"], data["alias"], data["resultFormat"], data["refId"])


@dataclass(frozen=True, slots=True)
class Ready(builder.Builder[variants.Dataquery]):
    """Something made already, where the SDK wants what makes it."""

    made: InfluxQuery

    def build(self) -> variants.Dataquery:
        return self.made


def register() -> None:
    """Let the SDK read such queries from JSON."""
    runtime.register_dataquery_variant(runtime.DataqueryConfig(TYPE, InfluxQuery.from_json))


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """What of an annotation's query the data source reads: which columns are text, tags and end."""

    query: str
    title: str
    text: str
    tags: str
    time_end: str

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "Annotation",
            "fromAnnotations": True,
            "rawQuery": True,
            **{_COLUMNS[field.name]: getattr(self, field.name) for field in fields(self)},
        }

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(**{name: data[key] for name, key in _COLUMNS.items()})


_COLUMNS = {
    "query": "query",
    "title": "titleColumn",
    "text": "textColumn",
    "tags": "tagsColumn",
    "time_end": "timeEndColumn",
}


class InfluxAnnotation(AnnotationQuery):
    """An annotation whose target is an ``EventsQuery``, which the SDK's own type cannot hold."""

    def __init__(
        self, name: str, events: EventsQuery, color: str, filter_val: AnnotationPanelFilter | None = None
    ) -> None:
        super().__init__(name, SOURCE, icon_color=color, hide=False, filter_val=filter_val)
        self.events = events

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"target": self.events}

    @classmethod
    def from_json(cls, data: Json) -> Self:
        return cls(data["name"], EventsQuery.from_json(data["target"]), data["iconColor"])
