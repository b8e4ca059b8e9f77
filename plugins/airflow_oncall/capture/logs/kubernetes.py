"""Kubernetes as a log source: warning events and pods whose containers ended badly, through the provider's hook.

Both are watched from the ``resourceVersion`` that the cursor holds for each namespace, so what came and went between two polls is
read too. Where the server has forgotten that version (410 Gone) they are listed again, and what has not changed since or is named as
seen by the cursor is left out. An event is one record however often it happens again: its count only changes the event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_oncall.capture.logs.kubernetes_troubles import Json, event_record, event_time, moment, terminations
from airflow_oncall.capture.logs.pod_owner import without_task_instance
from airflow_oncall.capture.logs.source import Batch, Cursor, Record, SourceFailed, unknown_cursor

SEEN_LIMIT = 1000
"""Records that the cursor names, the newest. While a list is being read, all of it: only behind it has the cursor its version."""
_SHAPE = "kubernetes/1"
_PAGE = 500
_LISTINGS = 3
_GONE = 410


class KubernetesSettings(BaseModel):
    """A source of kind ``kubernetes``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["kubernetes"] = "kubernetes"
    """Watches a cluster's warning events and the ends of its pods."""
    conn_id: str = "kubernetes_default"
    """Airflow connection of the provider; where the default one is missing, the cluster that this runs in."""
    namespaces: list[str] = []
    """Where to look; empty: the whole cluster, which needs a ClusterRole. get, list and watch on events and pods are needed."""
    label_selector: str = ""
    """Pods to look at, e.g. ``dag_id`` for those of Airflow; events cannot be chosen so."""
    ignored_reasons: list[str] = []
    """Reasons that are no trouble here, e.g. ``Unhealthy`` where probes fail while pods start."""
    believed_namespaces: list[str] = []
    """Where pods may name their task instance by labels and annotations; empty: everywhere."""
    watch_seconds: int = Field(default=3, ge=1, le=60)
    """How long a poll listens to each namespace's events, and as long to its pods."""
    start: Literal["end", "start"] = "end"
    """What the first poll does with what is there already: leave it, or read it."""

    def source(self, name: str) -> KubernetesSource:
        """The source that they describe."""
        return KubernetesSource(name, self)


@dataclass(frozen=True)
class _Place:
    """How far was read."""

    begun: str | None = None
    """The server's time at the first poll, where that left out what was there; what is older is left out for good."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """``events/namespace`` or ``pods/namespace`` -> resource version."""
    seen: tuple[str, ...] = ()

    def cursor(self) -> dict[str, Any]:
        return {"shape": _SHAPE, "begun": self.begun, "versions": dict(self.versions), "seen": list(self.seen)}

    @classmethod
    def of(cls, cursor: Cursor, name: str) -> _Place:
        if cursor.get("shape") != _SHAPE:
            raise unknown_cursor(name, cursor)
        return cls(cursor["begun"], cursor["versions"], tuple(cursor["seen"]))

    def is_old(self, record_time: datetime | None) -> bool:
        return bool(self.begun and record_time and record_time < datetime.fromisoformat(self.begun))

    def behind(self, records: Sequence[Record], stream: str, version: str | None) -> _Place:
        seen = (*self.seen, *(_digest(record) for record in records))
        if not version:
            return replace(self, seen=seen)
        return replace(self, seen=seen[-SEEN_LIMIT:], versions={**self.versions, stream: version})


@dataclass(frozen=True)
class KubernetesSource:
    """Warning events and pod terminations of one cluster."""

    name: str
    settings: KubernetesSettings

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """Batches of up to 500 objects, one namespace after the other, events before pods."""
        place = _Place.of(cursor, self.name) if cursor else _Place()
        with self._failures():
            poll = _Poll(self.name, self.settings, self._api(), place)
            for namespace in self.settings.namespaces or [""]:
                for stream in (poll.events(namespace), poll.pods(namespace)):
                    yield from poll.read(stream)

    def _api(self) -> Any:
        try:
            from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
        except ImportError as error:
            raise SourceFailed(f"source {self.name!r}: {error}; pip install 'airflow-oncall[kubernetes]'") from error
        return KubernetesHook(conn_id=self.settings.conn_id).core_v1_client

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """What the hook and the client raise, in words."""
        try:
            yield
        except SourceFailed:
            raise
        except _expected() as error:
            raise SourceFailed(f"source {self.name!r}: {self._words(error)}") from error

    def _words(self, error: BaseException) -> str:
        status = getattr(error, "status", None)
        where, connection = ", ".join(self.settings.namespaces) or "all namespaces", f"connection {self.settings.conn_id!r}"
        if status == 401:
            return f"Kubernetes does not know who asks ({_said(error)}); renew the token or certificate in {connection}"
        if status == 403:
            return f"Kubernetes refuses ({_said(error)}); grant get, list and watch on events and pods in {where}"
        if status is None and "urllib3" not in type(error).__module__:
            return f"no cluster to ask ({_said(error)}); check {connection}"
        return f"Kubernetes is busy or away ({_said(error)}); the next poll goes on from the same place"


@dataclass(frozen=True)
class _Stream:
    """One kind of object of one namespace."""

    key: str
    call: Callable[..., Any]
    """Lists it, or watches it."""
    arguments: Mapping[str, str]
    records: Callable[[Json], Iterator[Record]]
    kinds: frozenset[str]
    """Changes that can tell something new."""


class _Poll:
    """One poll; ``place`` moves with every batch."""

    def __init__(self, name: str, settings: KubernetesSettings, api: Any, place: _Place) -> None:
        from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import generic_api_retry

        self._name, self._settings, self._api, self._place = name, settings, api, place
        self._retried: Callable[[Callable[..., Any]], Callable[..., Any]] = generic_api_retry
        self._pods: dict[str, Json | None] = {}

    def events(self, namespace: str) -> _Stream:
        call = self._api.list_namespaced_event if namespace else self._api.list_event_for_all_namespaces
        arguments = {"namespace": namespace} if namespace else {}
        return _Stream(f"events/{namespace}", call, arguments | {"field_selector": "type=Warning"}, self._of_event, frozenset({"ADDED"}))

    def pods(self, namespace: str) -> _Stream:
        call = self._api.list_namespaced_pod if namespace else self._api.list_pod_for_all_namespaces
        arguments = {"namespace": namespace} if namespace else {}
        chosen = {"label_selector": self._settings.label_selector} if self._settings.label_selector else {}
        return _Stream(f"pods/{namespace}", call, arguments | chosen, self._of_pod, frozenset({"ADDED", "MODIFIED", "DELETED"}))

    def read(self, stream: _Stream) -> Iterator[Batch]:
        """What changed since the cursor's version; all that is there where it has none, or none that the server knows."""
        version = known = self._place.versions.get(stream.key)
        if version is None and self._settings.start == "end":
            yield self._beginning(stream)
            return
        for _ in range(_LISTINGS):
            with _unless_gone() as was_gone:
                yield from self._changes(stream, version) if version else self._listed(stream, known)
            if not was_gone:
                return
            version = None
        raise SourceFailed(f"source {self._name!r}: {stream.key} changes faster than it can be listed; choose `namespaces`")

    def _beginning(self, stream: _Stream) -> Batch:
        """Behind all that is there."""
        answer = self._retried(stream.call)(**stream.arguments, limit=1, _preload_content=False)
        if self._place.begun is None:
            self._place = replace(self._place, begun=_server_time(answer.headers.get("Date")))
        return self._batch([], stream, json.loads(answer.data)["metadata"]["resourceVersion"])

    def _listed(self, stream: _Stream, known: str | None) -> Iterator[Batch]:
        """What is there, but for what was read at the version ``known``."""
        following: str | None = None
        while True:
            page = self._json(stream.call, **stream.arguments, limit=_PAGE, **({"_continue": following} if following else {}))
            following = page["metadata"].get("continue")
            now = page["metadata"]["resourceVersion"]
            changed = [one for one in page["items"] if not _is_ordered(one["metadata"].get("resourceVersion"), known, now)]
            yield self._batch(changed, stream, None if following else now)
            if not following:
                return

    def _changes(self, stream: _Stream, version: str) -> Iterator[Batch]:
        from kubernetes.watch import Watch  # type: ignore[import-untyped]

        watch = Watch(return_type="object")
        seconds = {"timeout_seconds": self._settings.watch_seconds, "resource_version": version, "allow_watch_bookmarks": True}
        changed: list[Json] = []
        for change in watch.stream(self._retried(stream.call), **stream.arguments, **seconds):
            # A line that was cut off is ``None``; the version stays before it, so the next watch begins with it.
            if change and change["type"] in stream.kinds:
                changed.append(change["raw_object"])
            if len(changed) == _PAGE:
                yield self._batch(changed, stream, watch.resource_version)
                changed = []
        if changed or watch.resource_version != version:
            yield self._batch(changed, stream, watch.resource_version)

    def _batch(self, objects: Sequence[Json], stream: _Stream, version: str | None) -> Batch:
        known, records = set(self._place.seen), []
        for record in (record for one in objects for record in stream.records(one)):
            if _digest(record) not in known:
                known.add(_digest(record))
                records.append(self._believed(record))
        self._place = self._place.behind(records, stream.key, version)
        return Batch(records, self._place.cursor())

    def _believed(self, record: Record) -> Record:
        believed = self._settings.believed_namespaces
        if not believed or record.identifiers.get("namespace") in believed:
            return record
        return replace(record, identifiers=without_task_instance(record.identifiers))

    def _of_event(self, event: Json) -> Iterator[Record]:
        is_old = self._place.is_old(moment(event["metadata"].get("creationTimestamp")) or event_time(event))
        if not is_old and event.get("reason") not in self._settings.ignored_reasons:
            yield event_record(event, self._pod(event.get("involvedObject") or {}))

    def _of_pod(self, pod: Json) -> Iterator[Record]:
        for record in terminations(pod):
            if not self._place.is_old(record.happened_at) and record.identifiers["reason"] not in self._settings.ignored_reasons:
                yield record

    def _pod(self, about: Json) -> Json | None:
        """The pod that an event is about, if it is still there and still the same."""
        if about.get("kind") != "Pod" or not about.get("name") or not about.get("namespace"):
            return None
        uid = str(about.get("uid"))
        if uid not in self._pods:
            self._pods[uid] = self._found(about["name"], about["namespace"], uid)
        return self._pods[uid]

    def _found(self, name: str, namespace: str, uid: str) -> Json | None:
        from kubernetes.client.exceptions import ApiException  # type: ignore[import-untyped]

        try:
            pod = self._json(self._api.read_namespaced_pod, name=name, namespace=namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None
        return pod if pod["metadata"]["uid"] == uid else None

    def _json(self, call: Callable[..., Any], **arguments: Any) -> Json:
        """The answer as it came: the client's own models refuse objects of which an old server leaves something out."""
        answer: Json = json.loads(self._retried(call)(**arguments, _preload_content=False).data)
        return answer


def _is_ordered(*versions: str | None) -> bool:
    """Whether none of them is newer than the next; where a server does not count its versions, nothing is known of it."""
    numbers = [int(version) for version in versions if version and version.isdigit()]
    return len(numbers) == len(versions) and numbers == sorted(numbers)


@contextmanager
def _unless_gone() -> Iterator[list[bool]]:
    """The list has an entry after the block if the server no longer knew the version or the page that it was asked for."""
    from kubernetes.client.exceptions import ApiException

    was_gone: list[bool] = []
    try:
        yield was_gone
    except ApiException as error:
        if error.status != _GONE:
            raise
        was_gone.append(True)


def _expected() -> tuple[type[Exception], ...]:
    """What the hook and the client raise; without them there is nothing to expect."""
    try:
        from airflow.sdk.exceptions import AirflowException
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError
    except ImportError:
        return ()
    return (ApiException, ConfigException, HTTPError, AirflowException)


def _server_time(header: str | None) -> str:
    """In whole seconds, as Kubernetes writes its times."""
    now = parsedate_to_datetime(header) if header else datetime.now(timezone.utc)
    return now.replace(microsecond=0).isoformat()


def _said(error: BaseException) -> str:
    """The server's own words, in one line."""
    body = getattr(error, "body", None)
    try:
        told = json.loads(body)["message"] if body else ""
    except (ValueError, KeyError, TypeError):
        told = ""
    status = getattr(error, "status", None)
    return " ".join(filter(None, (str(status or ""), str(told or getattr(error, "reason", None) or error))))[:500]


def _digest(record: Record) -> str:
    return blake2b(record.position.encode(), digest_size=8).hexdigest()
