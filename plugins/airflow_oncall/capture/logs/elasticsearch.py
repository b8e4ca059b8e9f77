"""Elasticsearch and OpenSearch as a log source: documents of an index pattern that are bad enough, each once.

The cursor says up to which time documents were read (``to``), before which none is looked for (``floor``), and which
documents of the last ``late_seconds`` were handed on (``seen``): that window is read again by every poll, because documents
arrive late. Times are those of the documents and of the server; this machine's clock plays no part. Within a poll a point in
time and ``search_after`` go from page to page; both are forgotten after it, so they may expire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from airflow_oncall.capture.logs import elasticsearch_documents as documents
from airflow_oncall.capture.logs.elasticsearch_client import Cluster, NoSuchIndex, ViewExpired
from airflow_oncall.capture.logs.elasticsearch_documents import FieldNames
from airflow_oncall.capture.logs.source import Batch, Cursor, unknown_cursor

SEEN_LIMIT = 1000
"""Documents of the late window that the cursor names; more only of the newest instant, which is read again by the next poll."""
_SHAPE = "elasticsearch/1"
_EXPIRIES = 3


class ElasticsearchSettings(BaseModel):
    """A source of kind ``elasticsearch``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["elasticsearch"] = "elasticsearch"
    """Reads documents of Elasticsearch or OpenSearch."""
    conn_id: str = "elasticsearch_default"
    """Airflow connection: host, port, login, password; schema ``https`` for TLS; its extra goes to the client (``api_key``,
    ``ca_certs``..)."""
    hosts: list[str] = []
    """URLs of the cluster's nodes, in place of the connection; for clusters without a login."""
    product: Literal["elasticsearch", "opensearch"] = "elasticsearch"
    """What the server is."""
    index: str = Field(default="logs-*", min_length=1)
    """Index, data stream, alias or pattern; several with commas."""
    severities: list[str] = ["error", "critical", "fatal", "alert", "emergency"]
    """Documents of these severities are read, written in small or capital letters. Empty: ``query`` alone chooses."""
    query: str = ""
    """A Lucene query that documents must match as well."""
    fields: FieldNames = FieldNames()
    """Which field of a document says what."""
    ordered_by: str = ""
    """Date field that documents are read along; the timestamp by default. ``event.ingested``, where an ingest pipeline sets it,
    makes reading independent of the clocks of those who log."""
    tiebreaker: str = ""
    """Field that orders documents of one time: by default ``_shard_doc``, and ``_id`` for OpenSearch or without a point in time."""
    late_seconds: int = Field(default=120, ge=0, le=86_400)
    """How much later than others a document may arrive and still be read."""
    page_size: int = Field(default=500, ge=1, le=1000)
    """Documents of one search."""
    max_pages: int = Field(default=20, ge=1)
    """Pages of new documents that one poll reads; the next poll goes on."""
    keep_alive: str = Field(default="2m", pattern=r"^\d+(s|m|h)$")
    """How long a point in time is kept between two pages."""
    start: Literal["end", "start"] = "end"
    """Where the first poll begins: behind the newest document, or at the oldest."""

    @model_validator(mode="after")
    def _chooses(self) -> ElasticsearchSettings:
        if not self.severities and not self.query:
            raise ValueError("one of severities and query must say which documents are trouble; both are empty")
        return self

    def source(self, name: str) -> ElasticsearchSource:
        """The source that they describe."""
        return ElasticsearchSource(name, self)


@dataclass(frozen=True)
class _Place:
    """How far was read. Times are milliseconds since 1970."""

    floor: int = 0
    """Nothing before it is looked for."""
    to: int = 0
    """Everything before it was read, but for what arrives late."""
    seen: tuple[tuple[int, str], ...] = ()
    """Time and digest of the documents of the late window that were handed on, oldest first."""

    def cursor(self) -> dict[str, Any]:
        return {"shape": _SHAPE, "floor": self.floor, "to": self.to, "seen": [list(one) for one in self.seen]}

    @classmethod
    def of(cls, cursor: Cursor, name: str) -> _Place:
        if cursor.get("shape") != _SHAPE:
            raise unknown_cursor(name, cursor)
        return cls(cursor["floor"], cursor["to"], tuple((time, digest) for time, digest in cursor["seen"]))


@dataclass(frozen=True)
class ElasticsearchSource:
    """Documents of an index pattern, in the order of their time."""

    name: str
    settings: ElasticsearchSettings

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches of one page each, up to the server's present time or ``max_pages``."""
        options = self.settings
        with Cluster(self.name, options.product, options.conn_id, options.hosts, options.index, options.keep_alive) as cluster:
            try:
                place = _Place.of(cursor, self.name) if cursor else self._beginning(cluster)
                yield from _Poll(self, cluster, place).batches()
            except NoSuchIndex:
                if "*" not in options.index:
                    raise
                # A pattern may have its first index only later, and then all of that one is new.
                yield Batch((), cursor or _Place().cursor())

    def _beginning(self, cluster: Cluster) -> _Place:
        """Behind the newest document, told by the documents themselves."""
        if self.settings.start == "start":
            return _Place()
        newest = cluster.search(
            {"size": 1, "query": {"bool": {"filter": [self._times(0)]}}, "sort": [self._sort("desc")], "_source": False}
        )
        found = newest["hits"]["hits"]
        if not found:
            return _Place()
        to = int(found[0]["sort"][0])
        return _Place(floor=to + 1, to=to)

    def request(self, since: int, after: Sequence[Any] | None, tiebreaker: str) -> dict[str, Any]:
        """One page: bad enough, not in the future, behind ``after``."""
        options = self.settings
        chosen: list[Any] = [self._times(since)]
        if options.severities:
            written = sorted({way for one in options.severities for way in (one, one.lower(), one.upper(), one.capitalize())})
            chosen.append({"terms": {options.fields.severity: written}})
        if options.query:
            chosen.append({"query_string": {"query": options.query}})
        return {
            "size": options.page_size,
            "query": {"bool": {"filter": chosen}},
            "sort": [self._sort("asc"), {options.tiebreaker or tiebreaker: "asc"}],
            "_source": options.fields.wanted,
            "docvalue_fields": [{"field": options.fields.timestamp, "format": "epoch_millis"}],
            "track_total_hits": False,
        } | ({"search_after": list(after)} if after else {})

    def _times(self, since: int) -> dict[str, Any]:
        """Documents dated ahead wait until it is their time: one of them must not carry the cursor past all others."""
        bounds = {"gte": since, "lte": "now", "format": "epoch_millis||strict_date_optional_time"}
        return {"range": {self._ordered_by: bounds}}

    def _sort(self, order: str) -> dict[str, Any]:
        """As milliseconds, so that indices with finer dates sort among the others."""
        return {self._ordered_by: {"order": order, "numeric_type": "date", "unmapped_type": "date"}}

    @property
    def _ordered_by(self) -> str:
        return self.settings.ordered_by or self.settings.fields.timestamp


class _Poll:
    """One poll: page by page through one view of the index, or several if it expires."""

    def __init__(self, source: ElasticsearchSource, cluster: Cluster, place: _Place) -> None:
        self._source, self._cluster, self._place = source, cluster, place
        self._began_at, self._floor = place.to, place.floor
        self._late = source.settings.late_seconds * 1000
        self._told = False
        self._held = False
        """A shard could not be read: the cursor stays, and what the others show is handed on again by the next poll."""

    def batches(self) -> Iterator[Batch]:
        view, after, pages, expiries = self._cluster.open_view(), None, 0, 0
        try:
            while pages < self._source.settings.max_pages:
                try:
                    answer = self._cluster.search(self._request(view, after), view)
                except ViewExpired:
                    expiries += 1
                    if expiries > _EXPIRIES:
                        raise
                    # What a tiebreaker says may hold in its own view only, so the new one is read from the late window on.
                    view, after = self._cluster.open_view(), None
                    continue
                view = answer.get("pit_id") or view
                hits = answer["hits"]["hits"]
                yield self._batch(answer, hits)
                if len(hits) < self._source.settings.page_size:
                    return
                after = hits[-1]["sort"]
                pages += _time(hits[-1]) > self._began_at  # the late window is no progress, however many pages it fills
        finally:
            self._cluster.close_view(view)

    def _request(self, view: str | None, after: Sequence[Any] | None) -> dict[str, Any]:
        settings, place = self._source.settings, self._place
        since = max(place.floor, place.to - self._late)
        sharded = view is not None and settings.product == "elasticsearch"
        return self._source.request(since, after, "_shard_doc" if sharded else "_id")

    def _batch(self, answer: Mapping[str, Any], hits: Sequence[Mapping[str, Any]]) -> Batch:
        problems = list(self._unread(answer))
        self._held = self._held or bool(problems)
        known = {digest for _, digest in self._place.seen}
        new = [hit for hit in hits if _digest(hit) not in known]
        self._place = self._moved(hits, new)
        if self._place.floor > self._floor and not self._told:
            self._told = True
            problems.append(self._narrowed())
        return Batch([documents.record(hit, self._source.settings.fields) for hit in new], self._place.cursor(), problems)

    def _unread(self, answer: Mapping[str, Any]) -> Iterator[str]:
        shards = answer.get("_shards") or {}
        if shards.get("failed") or answer.get("timed_out"):
            reasons = [str((failure.get("reason") or {}).get("reason", "")) for failure in shards.get("failures") or []]
            said = f" ({reasons[0]:.200})" if reasons else ""
            count = f"{shards.get('failed', 0)} of {shards.get('total', '?')} shards"
            yield f"source {self._source.name!r}: {count} were not read{said}; the next poll reads from here again"

    def _narrowed(self) -> str:
        lateness = f"one that arrives more than {(self._place.to - self._place.floor) / 1000:.0f} s late is missed"
        way = "lower `late_seconds` or choose fewer documents"
        return f"source {self._source.name!r}: more than {SEEN_LIMIT} documents within `late_seconds`: {lateness}; {way}"

    def _moved(self, hits: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> _Place:
        """The place behind a page."""
        seen = sorted((*self._place.seen, *((_time(hit), _digest(hit)) for hit in new)))
        if self._held:
            return replace(self._place, seen=tuple(seen))
        to = max(self._place.to, _time(hits[-1]) if hits else 0)
        seen = [one for one in seen if one[0] >= to - self._late]
        kept = tuple(seen[-max(SEEN_LIMIT, sum(time >= to for time, _ in seen)) :])
        # Where the cursor cannot name all of them, the window begins behind those that it forgets.
        floor = self._place.floor if len(kept) == len(seen) else max(self._place.floor, min(kept[0][0] + 1, to))
        return _Place(floor, to, kept)


def _time(hit: Mapping[str, Any]) -> int:
    return int(hit["sort"][0])


def _digest(hit: Mapping[str, Any]) -> str:
    return blake2b(documents.position(hit).encode(), digest_size=8).hexdigest()
