"""Airflow as this project sees it: its public REST API, through Airflow's own client, over one connection.

Reads are tried again when Airflow is busy; writes never are, because a write that timed out may have happened: the
caller reconciles it from Airflow's own history instead. Every failure is an
:class:`~airflow_oncall.errors.AirflowApiError` whose message names the call and says what to do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import airflow_client.client as client
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from airflow_oncall import conf
from airflow_oncall.connections import find_connection
from airflow_oncall.errors import AirflowApiError, BadSetting, NotFound
from airflow_oncall.incident import Evidence, Occurrence, TaskRef
from airflow_oncall.tasklog import lines, readable

TIMEOUT = 10.0
"""Seconds one call may take."""
NOTE_LIMIT = 1000
"""Characters of a task instance's note; Airflow refuses longer ones."""
_PAGE = 100


@dataclass(frozen=True)
class TaskInstanceView:
    """A task instance as Airflow shows it now."""

    ref: TaskRef
    state: str | None
    """``None`` right after a clear."""
    try_number: int
    max_tries: int
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration: float | None = None
    hostname: str | None = None
    operator: str | None = None
    note: str = ""
    unixname: str = ""
    """User of the worker's machine that ran it."""
    pool: str = ""
    dag_version: int | None = None
    """Number of the version of its DAG that this try ran."""
    bundle_version: str = ""
    """Version of the DAG bundle, e.g. a commit, that a re-run would run again; empty where bundles have none: a re-run runs the newest."""
    rendered: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Template fields as they were rendered."""

    def failed_try(self, seen_by: str, *, will_retry: bool = False) -> Occurrence:
        """This try as an occurrence: all that Airflow knows of a failure that nobody saw happen."""
        return Occurrence(
            ref=self.ref,
            seen_by=seen_by,
            happened_at=self.ended_at or datetime.now(timezone.utc),
            try_number=self.try_number,
            will_retry=will_retry,
            evidence=Evidence(operator=self.operator, hostname=self.hostname, duration=self.duration, max_tries=self.max_tries),
        )


@dataclass(frozen=True)
class RunView:
    """A DAG run as Airflow shows it now."""

    dag_id: str
    run_id: str
    state: str
    ended_at: datetime | None
    started_at: datetime | None = None
    run_after: datetime | None = None
    """When it was meant to start."""
    run_type: str = ""
    """``scheduled``, ``manual``, ``backfill``, ..."""


@dataclass(frozen=True)
class PoolView:
    """A pool of slots; ``slots`` is -1 where it has no limit."""

    name: str
    slots: int
    occupied: int
    queued: int


@dataclass(frozen=True)
class BackfillView:
    """One backfill of a DAG."""

    id: int
    is_paused: bool
    completed_at: datetime | None

    @property
    def is_running(self) -> bool:
        """Whether its runs still come."""
        return self.completed_at is None and not self.is_paused


@dataclass(frozen=True)
class ImportErrorView:
    """One DAG file that Airflow could not import."""

    filename: str
    bundle: str
    seen_at: datetime
    stacktrace: str


@dataclass(frozen=True)
class TaskView:
    """What a DAG's author declared about a task."""

    retries: int
    tags: frozenset[str]
    params: Mapping[str, Any]
    """Task params over DAG params, plain values."""
    is_paused: bool
    pool: str = ""
    owners: frozenset[str] = frozenset()
    """Of the task; of all tasks of the DAG where a DAG was asked for."""


class AirflowApi:
    """Reads and acts on one Airflow. Make one a process with :func:`open_api`."""

    def __init__(self, base_url: str, token: Callable[[], str]) -> None:
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._configuration = client.Configuration(host=self.base_url, retries=False)
        self._api = client.ApiClient(self._configuration)
        self._instances = client.TaskInstanceApi(self._api)
        self._runs = client.DagRunApi(self._api)
        self._dags = client.DAGApi(self._api)
        self._signed_in = False

    # reading

    def task_instance(self, ref: TaskRef) -> TaskInstanceView:
        """The task instance now. Raises ``NotFound`` when its DAG, run or map index is gone."""
        if ref.map_index < 0:
            return _instance(self._read(self._instances.get_task_instance, ref.dag_id, ref.run_id, ref.task_id))
        return _instance(self._read(self._instances.get_mapped_task_instance, ref.dag_id, ref.run_id, ref.task_id, ref.map_index))

    def tries(self, ref: TaskRef) -> list[TaskInstanceView]:
        """Every try of the task instance, oldest first."""
        if ref.map_index < 0:
            found = self._read(self._instances.get_task_instance_tries, ref.dag_id, ref.run_id, ref.task_id)
        else:
            found = self._read(self._instances.get_mapped_task_instance_tries, ref.dag_id, ref.run_id, ref.task_id, ref.map_index)
        return sorted(map(_instance, found.task_instances), key=lambda one: one.try_number)

    def task_instances(self, dag_id: str = "~", run_id: str = "~", **filters: Any) -> Iterator[TaskInstanceView]:
        """Task instances that pass the REST filters (``state``, ``updated_at_gte``, ``try_number``...), page by page."""
        yield from map(_instance, self._pages(self._instances.get_task_instances, "task_instances", dag_id, run_id, **filters))

    def task_instances_during(self, start: datetime, end: datetime) -> Iterator[TaskInstanceView]:
        """Task instances that ran at some time between the two: those that ended since, and those that still run."""
        yield from self.task_instances(start_date_lte=end, end_date_gte=start)
        yield from self.task_instances(start_date_lte=end, state=["running", "deferred"])

    def run(self, dag_id: str, run_id: str) -> RunView:
        """A DAG run now."""
        return _run(self._read(self._runs.get_dag_run, dag_id, run_id))

    def runs(self, **filters: Any) -> Iterator[RunView]:
        """DAG runs that pass the REST filters."""
        yield from map(_run, self._pages(self._runs.get_dag_runs, "dag_runs", "~", **filters))

    def import_errors(self) -> Iterator[ImportErrorView]:
        """DAG files that Airflow cannot import now."""
        for one in self._offset_pages(client.ImportErrorApi(self._api).get_import_errors, "import_errors"):
            yield ImportErrorView(one.filename, one.bundle_name or "", one.timestamp, one.stack_trace)

    def task(self, dag_id: str, task_id: str) -> TaskView:
        """What is declared about a task; with an empty ``task_id``, about its DAG."""
        dag = self._read(self._dags.get_dag_details, dag_id)
        task = self._read(client.TaskApi(self._api).get_task, dag_id, task_id) if task_id else None
        params = _plain(dag.params) | (_plain(task.params) if task else {})
        tags = frozenset(tag.name for tag in dag.tags or ())
        owners = frozenset(name.strip() for name in (task.owner or "").split(",")) if task else frozenset(dag.owners or ())
        pool = (task.pool or "") if task else ""
        return TaskView(int(task.retries or 0) if task else 0, tags, params, bool(dag.is_paused), pool, owners)

    def retries(self, dag_id: str) -> dict[str, int]:
        """Declared retries of every task of a DAG."""
        return {one.task_id: int(one.retries or 0) for one in self._read(client.TaskApi(self._api).get_tasks, dag_id).tasks}

    def durations(self, dag_id: str, task_id: str, newest: int = 50) -> list[float]:
        """Seconds that the newest successful task instances of a task ran, newest first."""
        found = self._read(
            self._instances.get_task_instances, dag_id, "~", task_id=task_id, state=["success"], order_by=["-start_date"], limit=newest
        )
        instances = getattr(found, "actual_instance", found).task_instances
        return [float(one.duration) for one in instances if one.duration is not None]

    def newest_version(self, dag_id: str) -> int | None:
        """Number of the newest version of a DAG; a task instance whose ``dag_version`` is lower ran other code."""
        found = self._read(client.DagVersionApi(self._api).get_dag_versions, dag_id, limit=1, order_by=["-version_number"]).dag_versions
        return int(found[0].version_number) if found else None

    def dag_ids(self, tag: str = "") -> list[str]:
        """The ids of all DAGs that Airflow knows and that still exist; of those with a tag, when one is given."""
        tags = [tag] if tag else None
        return [one.dag_id for one in self._offset_pages(self._dags.get_dags, "dags", tags=tags, exclude_stale=True, order_by=["dag_id"])]

    def backfills(self, dag_id: str) -> list[BackfillView]:
        """Every backfill of a DAG, also those that are over."""
        pages = self._offset_pages(client.BackfillApi(self._api).list_backfills, "backfills", dag_id, order_by=["id"])
        return [BackfillView(one.id, bool(one.is_paused), one.completed_at) for one in pages]

    def pool(self, name: str) -> PoolView:
        """A pool now."""
        found = self._read(client.PoolApi(self._api).get_pool, name)
        return PoolView(found.name, found.slots, found.occupied_slots, found.queued_slots)

    def task_state(self, ref: TaskRef, key: str) -> Any:
        """What the task's state store holds under a key, over all its tries; ``None`` where nothing."""
        api = client.TaskStateStoreApi(self._api)
        try:
            return self._read(api.get_task_state_store, key, ref.dag_id, ref.run_id, ref.task_id, map_index=ref.map_index).value
        except NotFound:
            return None

    def log_tail(self, ref: TaskRef, try_number: int, limit: int) -> str:
        """The last lines of a try's log, at least ``limit`` characters of them where there are so many.

        Lines are whole, so that a caller can redact before it truncates. The log is read as a stream: one without end costs no
        memory. Reading stops after 64 MB, after 20 seconds, or when Airflow sends nothing for :data:`TIMEOUT`
        seconds; what came until then is the log.
        """
        from urllib3.exceptions import HTTPError

        response = self._read(
            self._instances.get_log_without_preload_content,
            ref.dag_id,
            ref.run_id,
            ref.task_id,
            try_number,
            map_index=ref.map_index,
            full_content=True,
            accept="application/x-ndjson",
        )
        tail: deque[str] = deque()
        kept = 0
        with closing(response), suppress(HTTPError, OSError):
            for line in lines(response):
                text = readable(line)
                tail.append(text)
                kept += len(text) + 1
                while kept - len(tail[0]) > limit:
                    kept -= len(tail.popleft()) + 1
        return "\n".join(tail)

    def server_time(self) -> datetime:
        """Airflow's own clock, by which its ``updated_at`` filters work; ours may be wrong."""
        answer = self._read(client.MonitorApi(self._api).get_health_with_http_info)
        stamp = (answer.headers or {}).get("Date") or (answer.headers or {}).get("date")
        return parsedate_to_datetime(stamp) if stamp else datetime.now(timezone.utc)

    def is_paused(self, dag_id: str) -> bool:
        """Whether a DAG is paused. Raises ``NotFound`` when Airflow has not parsed it."""
        return bool(self._read(self._dags.get_dag, dag_id).is_paused)

    def human_answer(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any] | None:
        """What a person chose in a HITL task: ``chosen_options`` and ``responded_by_user``; ``None`` where nobody did."""
        try:
            found = self._read(self._instances.get_hitl_detail, dag_id, run_id, task_id, -1)
        except NotFound:
            return None
        if not found.response_received:
            return None
        user = found.responded_by_user
        return {
            "chosen_options": list(found.chosen_options or ()),
            "responded_by_user": {"id": user.id, "name": user.name} if user else None,
        }

    def plugins(self) -> list[str]:
        """Names of the plugins the api-server loaded, one for each time."""
        return [one.name for one in self._read(client.PluginApi(self._api).get_plugins, limit=1000).plugins]

    def may_clear(self, dag_id: str) -> None:
        """Raise ``AirflowApiError`` (403) where this user may not clear task instances; changes nothing."""
        self._read(self._instances.post_clear_task_instances, dag_id, client.ClearTaskInstancesBody(dry_run=True, only_failed=True))

    # acting

    def clear(self, ref: TaskRef, note: str) -> list[TaskRef]:
        """Clear exactly this failed task instance and what waits for it as ``upstream_failed``; return what was cleared.

        Empty when it was not failed any more. A task instance downstream that failed by itself, or another map index, is never
        touched: Airflow's own "downstream, only failed" would clear those, too, so it is only asked what it would clear.
        """
        would = self.downstream(ref, only_failed=True)
        chosen = [one.ref for one in would if one.ref == ref or one.state == "upstream_failed"]
        if ref not in chosen:
            return []
        return [one.ref for one in self._clear(chosen, note)]

    def downstream(self, ref: TaskRef, *, only_failed: bool) -> list[TaskInstanceView]:
        """What a clear of this task instance with its downstream would clear, itself too; changes nothing.

        ``only_failed``: of these only what stands ``failed`` or ``upstream_failed``.
        """
        return self._clear([ref], "", only_failed=only_failed, dry_run=True, include_downstream=True)

    def clear_all(self, refs: Sequence[TaskRef], note: str) -> list[TaskRef]:
        """Clear exactly these task instances of one run, whatever state they ended in."""
        return [one.ref for one in self._clear(refs, note, only_failed=False)]

    def _clear(
        self, refs: Sequence[TaskRef], note: str, *, only_failed: bool = True, dry_run: bool = False, include_downstream: bool = False
    ) -> list[TaskInstanceView]:
        named: list[Any] = [ref.task_id if ref.map_index < 0 else [ref.task_id, ref.map_index] for ref in refs]
        body = client.ClearTaskInstancesBody(
            dry_run=dry_run,
            dag_run_id=refs[0].run_id,
            task_ids=[client.ClearTaskInstancesBodyTaskIdsInner(one) for one in named],
            only_failed=only_failed,
            include_downstream=include_downstream,
            reset_dag_runs=True,
            prevent_running_task=True,
            note=note[:NOTE_LIMIT],
        )
        cleared = self._guard(self._instances.post_clear_task_instances, refs[0].dag_id, body)
        return [_instance(one) for one in cleared.task_instances]

    def reopen_run(self, dag_id: str, run_id: str) -> None:
        """Have the scheduler look at an ended run again; no task instance is touched."""
        self._guard(
            self._runs.patch_dag_run, dag_id, run_id, client.DAGRunPatchBody(state=client.DagRunMutableStates.QUEUED), update_mask=["state"]
        )

    def set_note(self, ref: TaskRef, note: str) -> None:
        """Write the note of a task instance."""
        self._patch(ref, client.PatchTaskInstanceBody(note=note[:NOTE_LIMIT]), ["note"])

    def set_state(self, ref: TaskRef, state: str, note: str) -> None:
        """Mark a task instance ``success`` or ``skipped``, with a note, in one transaction of Airflow.

        Airflow itself then clears everything downstream that stands ``failed`` or ``upstream_failed``.
        """
        body = client.PatchTaskInstanceBody(new_state=client.TaskInstanceState(state), note=note[:NOTE_LIMIT])
        self._patch(ref, body, ["new_state", "note"])

    def _patch(self, ref: TaskRef, body: Any, fields: list[str]) -> None:
        which = (ref.dag_id, ref.run_id, ref.task_id, ref.map_index)
        self._guard(self._instances.patch_task_instance_by_map_index, *which, body, update_mask=fields)

    def set_task_state(self, ref: TaskRef, key: str, value: Any) -> None:
        """Write a value that the task reads in its later tries; kept for as long as ``[state_store] default_retention_days`` says."""
        api, body = client.TaskStateStoreApi(self._api), client.TaskStateStoreBody(value=value)
        self._guard(api.set_task_state_store, key, ref.dag_id, ref.run_id, ref.task_id, body, map_index=ref.map_index)

    def resize_pool(self, name: str, slots: int) -> None:
        """Give a pool another number of slots."""
        self._guard(client.PoolApi(self._api).patch_pool, name, client.PoolPatchBody(pool=name, slots=slots), update_mask=["slots"])

    def pause_dag(self, dag_id: str) -> None:
        """Let the scheduler start nothing more of a DAG."""
        self._guard(self._dags.patch_dag, dag_id, client.DAGPatchBody(is_paused=True), update_mask=["is_paused"])

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Start a run with this run_id; ``False`` when it exists already."""
        body = client.TriggerDAGRunPostBody(dag_run_id=run_id, logical_date=None, conf=dict(conf))
        try:
            self._guard(self._runs.trigger_dag_run, dag_id, body)
        except AirflowApiError as error:
            if error.status == 409:
                return False
            raise
        return True

    # the wire

    def _offset_pages(self, call: Callable[..., Any], items: str, *path: str, **filters: Any) -> Iterator[Any]:
        offset, total = 0, 1
        while offset < total:
            page = self._read(call, *path, limit=_PAGE, offset=offset, **filters)
            yield from getattr(page, items)
            offset, total = offset + _PAGE, page.total_entries

    def _pages(self, call: Callable[..., Any], items: str, *path: str, **filters: Any) -> Iterator[Any]:
        cursor: str | None = ""
        while cursor is not None:
            page = self._read(call, *path, cursor=cursor, limit=_PAGE, order_by=["id"], **filters)
            found = getattr(page, "actual_instance", page)
            yield from getattr(found, items)
            cursor = getattr(found, "next_cursor", None)

    def _read(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for attempt in Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, AirflowApiError) and error.transient),
            stop=stop_after_attempt(3),
            wait=wait_exponential(multiplier=0.3, max=2) + wait_random(0, 1),
            reraise=True,
        ):
            with attempt:
                return self._guard(call, *args, **kwargs)
        raise AssertionError("tenacity gives a result or raises")

    def _guard(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call with a token; a token that ran out is renewed once."""
        fresh = not self._signed_in
        if fresh:
            self._sign_in()
        try:
            return self._once(call, *args, **kwargs)
        except AirflowApiError as error:
            if error.status != 401 or fresh:
                raise
        self._sign_in()
        return self._once(call, *args, **kwargs)

    def _sign_in(self) -> None:
        self._configuration.access_token = self._token()
        self._signed_in = True

    def _once(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        from pydantic import ValidationError
        from urllib3.exceptions import HTTPError

        try:
            answer = call(*args, _request_timeout=TIMEOUT, **kwargs)
        except client.ApiException as error:
            raise _refused(call.__name__, args, error) from error
        except ValidationError as error:  # an answer this client does not know, e.g. of a newer Airflow
            raise AirflowApiError(f"{call.__name__}{args}: Airflow answered in a form this client does not know: {error}", 422) from error
        except (HTTPError, OSError) as error:
            raise AirflowApiError(f"{call.__name__}: no answer from {self.base_url} ({error}); is the api-server up?") from error
        status = getattr(answer, "status", None)  # raw answers are not checked by the client
        if isinstance(status, int) and status >= 400:
            raise _refused(call.__name__, args, client.ApiException(status=status, reason=answer.reason))
        return answer


def open_api() -> AirflowApi:
    """The Airflow behind the connection ``[oncall] airflow_conn_id``."""
    conn_id = conf.airflow_conn_id()
    connection = find_connection(conn_id)
    if connection is None:
        raise BadSetting(
            f"connection {conn_id!r} is not defined; add one of type HTTP with host, port, login and password of a user with role Op"
        )
    base = _base_url(connection)
    token = connection.extra_dejson.get("token")
    return AirflowApi(base, (lambda: str(token)) if token else lambda: _login(base, connection.login, connection.password))


def _base_url(connection: Any) -> str:
    host = connection.host or "localhost"
    if "@" in host:
        raise BadSetting(f"connection {conf.airflow_conn_id()!r} has a login in its host; put it into login and password")
    if "://" in host:
        return str(host)
    return f"{connection.schema or 'http'}://{host}" + (f":{connection.port}" if connection.port else "")


def _login(base: str, login: str | None, password: str | None) -> str:
    import httpx

    try:
        answer = httpx.post(f"{base}/auth/token", json={"username": login, "password": password}, timeout=TIMEOUT)
    except httpx.HTTPError as error:
        raise AirflowApiError(f"sign in at {base}/auth/token as {login!r}: no answer ({error}); is the api-server up?") from error
    if answer.status_code >= 400:
        raise AirflowApiError(
            f"sign in at {base}/auth/token as {login!r}: HTTP {answer.status_code}; check login and password of connection "
            f"{conf.airflow_conn_id()!r}",
            answer.status_code,
        )
    return str(answer.json()["access_token"])


_ADVICE = {
    401: "the token is not accepted; check login and password of the connection",
    403: "the user may not do this; give it the role Op",
    404: "it is gone from Airflow",
    409: "it is in another state by now",
    429: "Airflow is throttling",
}


def _refused(call: str, args: tuple[Any, ...], error: Any) -> AirflowApiError:
    where = "/".join(str(part) for part in args if isinstance(part, (str, int)))
    advice = _ADVICE.get(error.status, "see the api-server's log" if (error.status or 0) >= 500 else str(error.body)[:300])
    message = f"{call} {where}: HTTP {error.status} {error.reason}; {advice}"
    return NotFound(message, 404) if error.status == 404 else AirflowApiError(message, error.status)


def _instance(one: Any) -> TaskInstanceView:
    version = one.dag_version
    return TaskInstanceView(
        ref=TaskRef(one.dag_id, one.dag_run_id, one.task_id, one.map_index),
        state=getattr(one.state, "value", one.state),
        try_number=one.try_number,
        max_tries=one.max_tries,
        started_at=one.start_date,
        ended_at=one.end_date,
        duration=one.duration,
        hostname=one.hostname or None,
        operator=one.operator,
        note=getattr(one, "note", None) or "",
        unixname=getattr(one, "unixname", None) or "",
        pool=one.pool or "",
        dag_version=version.version_number if version else None,
        bundle_version=(version.bundle_version or "") if version else "",
        rendered=getattr(one, "rendered_fields", None) or {},
    )


def _run(one: Any) -> RunView:
    state, run_type = (str(getattr(word, "value", word)) for word in (one.state, one.run_type))
    return RunView(one.dag_id, one.dag_run_id, state, one.end_date, one.start_date, one.run_after, run_type)


def _plain(params: Any) -> dict[str, Any]:
    """Params arrive as ``{"name": {"value": ..., "schema": ...}}`` or as plain values."""
    return {name: one.get("value") if isinstance(one, Mapping) and "value" in one else one for name, one in (params or {}).items()}
