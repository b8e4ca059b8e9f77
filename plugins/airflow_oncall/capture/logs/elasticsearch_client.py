"""One Elasticsearch or OpenSearch cluster, through the provider's hook: searches, points in time, and what went wrong in words.

A search is tried again when the cluster is busy or away. Every failure is a :class:`SourceFailed`, but for the two that
the reader goes on from: :class:`ViewExpired` and :class:`NoSuchIndex`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tenacity.nap import sleep

from airflow_oncall.capture.logs.source import SourceFailed
from airflow_oncall.connections import find_connection

ATTEMPTS = 4
LONGEST_WAIT = 60.0
"""Seconds: longer than this no ``Retry-After`` is waited for; the next poll is."""
_HEADERS = {"accept": "application/json", "content-type": "application/json"}
_VIEWS = {"elasticsearch": "_pit", "opensearch": "_search/point_in_time"}
_SQL_ONLY = ("fetch_size", "field_multi_value_leniency")
"""Extras of the connection that the client does not take."""


class ViewExpired(SourceFailed):
    """The point in time is gone; a new one shows the same documents and those that came since."""


class NoSuchIndex(SourceFailed):
    """Nothing has the name or pattern that is to be read."""


class Cluster:
    """A connection to the cluster for one poll; use it as a context manager."""

    def __init__(self, name: str, product: str, conn_id: str, hosts: list[str], index: str, keep_alive: str) -> None:
        """``hosts`` are taken where given, else the Airflow connection ``conn_id``."""
        self._name, self._product, self._index, self._keep_alive = name, product, index, keep_alive
        self._address = ", ".join(_without_password(host) for host in hosts) or f"connection {conn_id!r}"
        arguments: dict[str, Any] = {}
        if not hosts:
            hosts, arguments = self._connection(conn_id)
        self._client = self._connect(hosts, {"request_timeout": 30, **arguments, "max_retries": 0})

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def open_view(self) -> str | None:
        """Id of a new point in time; ``None`` where the server has none."""
        path = f"/{self._quoted}/{_VIEWS[self._product]}"
        try:
            answer = self._call("POST", path, {"keep_alive": self._keep_alive})
        except _Refused:
            return None  # if it was not for the point in time, the search tells
        return str(answer.get("pit_id") or answer["id"])

    def close_view(self, view: str | None) -> None:
        """Let the server forget a point in time; it would do so by itself after ``keep_alive``."""
        if view is not None:
            body = {"pit_id": [view]} if self._product == "opensearch" else {"id": view}
            with suppress(SourceFailed):
                self._call("DELETE", f"/{_VIEWS[self._product]}", body=body, attempts=1)

    def search(self, body: Mapping[str, Any], view: str | None = None) -> Mapping[str, Any]:
        """What the server answers, in this view of it or, without one, as it is now."""
        if view is None:
            return self._call("POST", f"/{self._quoted}/_search", {"ignore_unavailable": "true", "allow_no_indices": "true"}, body)
        return self._call("POST", "/_search", body={**body, "pit": {"id": view, "keep_alive": self._keep_alive}})

    @property
    def _quoted(self) -> str:
        return quote(self._index, safe="*,")

    def _call(
        self, method: str, path: str, params: Mapping[str, str] | None = None, body: Any = None, attempts: int = ATTEMPTS
    ) -> Mapping[str, Any]:
        from elasticsearch import ApiError, TransportError

        target = f"{path}?{urlencode(params)}" if params else path
        again = Retrying(
            stop=stop_after_attempt(attempts),
            wait=_wait,
            retry=retry_if_exception(_transient),
            sleep=sleep,
            reraise=True,
        )
        try:
            answer: Mapping[str, Any] = again(self._client.perform_request, method, target, headers=_HEADERS, body=body).body
        except (ApiError, TransportError) as error:
            raise self._failure(error) from error
        return answer

    def _failure(self, error: Exception) -> SourceFailed:
        status, said = _status(error), _said(error)
        where = f"source {self._name!r}: {self._product} at {self._address}"
        if "search_context_missing" in said:
            return ViewExpired(f"{where}: the point in time expired; raise `keep_alive`, which is {self._keep_alive!r}")
        if "index_not_found" in said:
            return NoSuchIndex(f"{where} has no index {self._index!r}; check `index`")
        if status in (401, 403):
            way = f"a login and password, or `api_key` in the extra, of a user who may read {self._index!r}"
            return SourceFailed(f"{where} answered {status}: {said}; set {way}, in the connection")
        if status == 406 or type(error).__name__ == "UnsupportedProductError":
            ways = "`product: opensearch` for OpenSearch, `[elasticsearch] es_compat_with` for an older Elasticsearch"
            return SourceFailed(f"{where} does not speak this client's language: {said}; set {ways}")
        if _transient(error):
            return SourceFailed(
                f"{where} is busy or away, also after {ATTEMPTS} attempts: {said}; the next poll goes on from the same place"
            )
        return _Refused(f"{where} refused the request: {said}; check `index`, `query`, `fields` and `tiebreaker`")

    def _connection(self, conn_id: str) -> tuple[list[str], dict[str, Any]]:
        """Hosts and client arguments from an Airflow connection of type Elasticsearch."""
        found = find_connection(conn_id)
        if found is None or not found.host:
            raise SourceFailed(f"source {self._name!r}: no Airflow connection {conn_id!r} with a host; add it, or set `conn_id` or `hosts`")
        arguments = {key: value for key, value in found.extra_dejson.items() if key not in _SQL_ONLY}
        if found.login:
            arguments["basic_auth"] = (found.login, found.password or "")
        host = found.host if "://" in found.host else f"{found.schema or 'http'}://{found.host}:{found.port or 9200}"
        return [host], arguments

    def _connect(self, hosts: list[str], arguments: dict[str, Any]) -> Any:
        try:
            from airflow.providers.elasticsearch.hooks.elasticsearch import ElasticsearchPythonHook
        except ImportError as error:
            raise SourceFailed(f"source {self._name!r}: {error}; pip install 'airflow-oncall[elasticsearch]'") from error
        if self._product == "opensearch":
            from airflow_oncall.capture.logs.opensearch import OpenSearchTransport

            arguments["transport_class"] = OpenSearchTransport
        try:
            return ElasticsearchPythonHook(hosts=hosts, es_conn_args=arguments).get_conn
        except (TypeError, ValueError) as error:
            raise SourceFailed(f"source {self._name!r}: the client does not take what {self._address} says: {error}") from error


class _Refused(SourceFailed):
    """The server does not know or does not take this request."""


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "meta", None), "status", None)


def _transient(error: BaseException) -> bool:
    """Whether the same request may be answered later; certificates that do not fit stay as they are."""
    from elasticsearch import ConnectionError as NotConnected
    from elasticsearch import ConnectionTimeout, SSLError

    status = _status(error)
    if status is not None:
        return status == 429 or status >= 500
    return isinstance(error, (NotConnected, ConnectionTimeout)) and not isinstance(error, SSLError)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = _retry_after(getattr(getattr(error, "meta", None), "headers", {}).get("retry-after"))
    return float(wait_exponential_jitter(initial=0.5, max=8.0)(state)) if asked is None else min(asked, LONGEST_WAIT)


def _retry_after(header: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, which gives them or a date."""
    if not header:
        return None
    with suppress(ValueError):
        return max(float(header), 0.0)
    with suppress(ValueError, TypeError):
        return max((parsedate_to_datetime(header) - datetime.now(timezone.utc)).total_seconds(), 0.0)
    return None


def _said(error: Exception) -> str:
    """The server's own words, in one line."""
    body = getattr(error, "body", None)
    told = body.get("error", body) if isinstance(body, dict) else body
    return (json.dumps(told) if isinstance(told, dict) else str(told or error))[:500]


def _without_password(host: str) -> str:
    parts = urlsplit(host)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
