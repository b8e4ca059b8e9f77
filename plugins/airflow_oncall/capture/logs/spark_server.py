"""The REST API of Spark's History Server: asked gently, answered with what to do where it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

import httpx
from typing_extensions import Self

from airflow_oncall.capture.logs.source import SourceFailed
from airflow_oncall.capture.redact import redact
from airflow_oncall.connections import find_connection

API = "/api/v1/"
PAGE = 100
"""Queries of one answer; the server gives 20 where it is not asked for more."""
_SAID_LIMIT = 200
"""Characters of an answer that are quoted."""
_WAYS_OUT = {
    401: "Give login and password of a user who may read all applications in the connection.",
    403: "Let the connection's user see all applications (spark.history.ui.admin.acls).",
    404: "Name the server's root, e.g. http://history:18080, without /api/v1.",
    429: "The server is asked too often; poll less often.",
}


class ApplicationUnreadable(Exception):
    """The server answers, but not for this application: its log is damaged or was removed."""


class HistoryServer:
    """A client for the time of one poll. Raises :class:`SourceFailed`."""

    def __init__(self, source: str, url: str, conn_id: str, timeout: float) -> None:
        self._source = source
        base, auth, headers = _address(source, url, conn_id)
        self._base = base
        try:
            self._client = httpx.Client(base_url=base + API, auth=auth, headers=headers, timeout=timeout, follow_redirects=True)
        except httpx.InvalidURL:
            # The error quotes what it takes for the port, which may be the password.
            raise self._failed(f"{base!r} is no URL. Name the server like http://history:18080.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def applications(self, ended_since: int) -> list[dict[str, Any]]:
        """Applications with an attempt that runs or ended since then (epoch milliseconds)."""
        found = self._get("applications", minEndDate=as_text(max(0, ended_since)))
        return self._list(self._json(found) if found.status_code == 200 else self._fail(found), "applications")

    def about(self, application: str, what: str, **query: object) -> list[dict[str, Any]]:
        """A list about one application; raises :class:`ApplicationUnreadable`."""
        return self._list(self._ask(application, what, query), what)

    def sql(self, application: str) -> Iterator[dict[str, Any]]:
        """Its queries, page by page, without their plans."""
        for offset in range(0, 1_000_000, PAGE):
            page = self.about(application, "sql", details="false", planDescription="false", offset=offset, length=PAGE)
            yield from page
            if len(page) < PAGE:
                return

    def properties(self, application: str) -> dict[str, str]:
        """Its Spark properties."""
        found = self._ask(application, "environment", {})
        pairs = found.get("sparkProperties", ()) if isinstance(found, dict) else ()
        return {str(pair[0]): str(pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2}

    def _ask(self, application: str, what: str, query: dict[str, object]) -> Any:
        answer = self._get(f"applications/{application}/{what}", **query)
        if answer.status_code in (404, 500):
            raise ApplicationUnreadable(f"HTTP {answer.status_code}: {redact(answer.text, _SAID_LIMIT)!r}")
        return self._json(answer) if answer.status_code == 200 else self._fail(answer)

    def _list(self, found: Any, what: str) -> list[dict[str, Any]]:
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            said = redact(str(found), _SAID_LIMIT)
            raise self._failed(f"{self._base} answers {what} with {said!r}, not with a list. Check that it is a Spark History Server.")
        return found

    def _get(self, path: str, **query: object) -> httpx.Response:
        try:
            return self._client.get(path, params={key: str(value) for key, value in query.items()})
        except httpx.HTTPError as error:
            raise self._failed(
                f"{self._base} does not answer {path}: {type(error).__name__}: {error}. "
                "Check that the History Server runs and can be reached from the worker, or give it more time (timeout)."
            ) from error

    def _json(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            return answer.text

    def _fail(self, answer: httpx.Response) -> Any:
        way_out = _WAYS_OUT.get(answer.status_code, "See the server's own log; the next poll asks again.")
        raise self._failed(f"{answer.url} answers HTTP {answer.status_code}: {redact(answer.text, _SAID_LIMIT)!r}. {way_out}")

    def _failed(self, what: str) -> SourceFailed:
        """Without the password that the URL may hold."""
        return SourceFailed(f"Log source {self._source!r}: {redact(what, 2000)}")


def _address(source: str, url: str, conn_id: str) -> tuple[str, tuple[str, str] | None, dict[str, str]]:
    if url:
        return url.rstrip("/"), None, {}
    connection = find_connection(conn_id)
    if connection is None or not connection.host:
        raise SourceFailed(
            f"Log source {source!r}: there is no Airflow connection {conn_id!r} with a host. Define it (type http: host, port, schema "
            "http or https, login, password), or set url."
        )
    host = connection.host if "://" in connection.host else f"{connection.schema or 'http'}://{connection.host}"
    headers = {str(key): str(value) for key, value in (connection.extra_dejson.get("headers") or {}).items()}
    auth = (connection.login, connection.password or "") if connection.login else None
    return f"{host.rstrip('/')}{f':{connection.port}' if connection.port else ''}", auth, headers


def milliseconds(text: object) -> int | None:
    """The server's time as Spark's epoch milliseconds."""
    try:
        return round(datetime.strptime(str(text).replace("GMT", "+0000"), "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)
    except ValueError:
        return None


def as_text(moment: int) -> str:
    """Epoch milliseconds as the server reads them."""
    return datetime.fromtimestamp(moment / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "GMT"
