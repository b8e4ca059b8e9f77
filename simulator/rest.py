"""The part of Airflow's public REST API that this project uses, over a :class:`~simulator.world.World`, without a wire.

One function an endpoint; :meth:`RestWorld.answer` finds it. What is a field here is one the client insists on.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote

from airflow_oncall.incident import TaskRef
from simulator.world import LONG_AGO, Backfill, Dag, Mutation, Pool, Refused, Run, Task, TaskInstance, World

Row = TypeVar("Row", TaskInstance, Run)


class RestWorld(World):
    """A :class:`World` that answers requests."""

    def __init__(self) -> None:
        super().__init__()
        self.users = {"oncall": "secret"}
        self.page_size: int | None = None
        self.tokens: set[str] = set()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any], token: str) -> Any:
        """What Airflow answers: JSON values, or an iterable of bytes. Raises :class:`Refused`."""
        if (method, path) == ("POST", "/auth/token"):
            return self._sign_in(body)
        if path != "/api/v2/monitor/health" and token not in self.tokens:
            raise Refused(401, "Invalid or missing token")
        for verb, pattern, route in ROUTES:
            if verb == method and (match := pattern.fullmatch(path)):
                return route(self, query, body, *map(unquote, match.groups()))
        raise Refused(404, f"no route {method} {path}")

    def _sign_in(self, body: dict[str, Any]) -> dict[str, str]:
        if self.users.get(str(body.get("username"))) != body.get("password"):
            raise Refused(401, "Invalid credentials")
        token = uuid.uuid4().hex
        self.tokens.add(token)
        return {"access_token": token}

    def page(self, found: list[Row], as_json: Callable[[Row], dict[str, Any]], items: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """One page by cursor; the cursor is the position of the next one."""
        start = int((query.get("cursor") or ["0"])[0] or 0)
        end = start + (self.page_size or int(query["limit"][0]))
        return {items: list(map(as_json, found[start:end])), "next_cursor": str(end) if end < len(found) else None, "previous_cursor": None}


# JSON of each noun, with every field the client insists on


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _instance_json(one: TaskInstance) -> dict[str, Any]:
    ref = one.ref
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ref.key}/{one.try_number}")),
        "dag_id": ref.dag_id,
        "dag_display_name": ref.dag_id,
        "dag_run_id": ref.run_id,
        "task_id": ref.task_id,
        "task_display_name": ref.task_id,
        "map_index": ref.map_index,
        "state": one.state,
        "try_number": one.try_number,
        "max_tries": one.max_tries,
        "start_date": _stamp(one.started_at),
        "end_date": _stamp(one.ended_at),
        "duration": (one.ended_at - one.started_at).total_seconds() if one.ended_at and one.started_at else None,
        "hostname": "worker-7",
        "operator": "PythonOperator",
        "note": one.note,
        "executor_config": "{}",
        "pool": "default_pool",
        "pool_slots": 1,
        "run_after": _stamp(LONG_AGO),
        "dag_version": _version_json(ref.dag_id, one.version),
    }


def _version_json(dag_id: str, number: int) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{dag_id}/{number}")),
        "dag_id": dag_id,
        "dag_display_name": dag_id,
        "version_number": number,
        "bundle_name": "dags-folder",
        "bundle_version": None,
        "created_at": _stamp(LONG_AGO),
    }


def _pool_json(name: str, pool: Pool) -> dict[str, Any]:
    counts = dict.fromkeys(("deferred_slots", "running_slots", "scheduled_slots"), 0)
    counts |= {"slots": pool.slots, "occupied_slots": pool.occupied, "queued_slots": pool.queued, "open_slots": pool.slots - pool.occupied}
    return {"name": name, "include_deferred": False, "description": None, **counts}


def _backfill_json(number: int, one: Backfill) -> dict[str, Any]:
    return {
        "id": number,
        "dag_id": one.dag_id,
        "dag_display_name": one.dag_id,
        "is_paused": one.is_paused,
        "completed_at": _stamp(one.completed_at),
        "max_active_runs": 10,
        "reprocess_behavior": "none",
        **dict.fromkeys(("created_at", "updated_at", "from_date", "to_date"), _stamp(LONG_AGO)),
    }


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "dag_run_id": run.run_id,
        "state": run.state,
        "start_date": _stamp(run.started_at),
        "end_date": _stamp(run.ended_at),
        "note": run.note,
        "conf": run.conf,
        "dag_versions": [],
        "run_after": _stamp(run.run_after),
        "run_type": run.run_type,
    }


def _dag_json(dag_id: str, dag: Dag) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "dag_display_name": dag_id,
        "is_paused": dag.is_paused,
        "tags": [{"dag_id": dag_id, "dag_display_name": dag_id, "name": tag} for tag in dag.tags],
        "params": _params_json(dag.params),
        "owners": list(dag.owners),
        "fileloc": f"/dags/{dag_id}.py",
        "file_token": "token",
        **dict.fromkeys(("catchup", "has_import_errors", "has_task_concurrency_limits", "is_backfillable", "is_stale"), False),
        **dict.fromkeys(("render_template_as_native_obj", "timetable_partitioned", "timetable_periodic"), False),
        **dict.fromkeys(("concurrency", "max_active_tasks", "max_consecutive_failed_dag_runs"), 16),
    }


def _params_json(params: dict[str, Any]) -> dict[str, Any]:
    return {name: {"value": value, "description": None, "schema": {}} for name, value in params.items()}


def _task_json(task_id: str, task: Task) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "retries": float(task.retries),
        "params": _params_json(task.params),
        "pool": task.pool,
        "owner": task.owner,
        "depends_on_past": False,
        "wait_for_downstream": False,
        "retry_exponential_backoff": 0,
        "extra_links": [],
    }


def _plugin_json(name: str) -> dict[str, Any]:
    lists = ("appbuilder_menu_items", "appbuilder_views", "external_views", "fastapi_apps", "fastapi_root_middlewares", "flask_blueprints")
    more = ("global_operator_extra_links", "listeners", "macros", "operator_extra_links", "react_apps", "timetables")
    return {"name": name, "source": "", **{key: [] for key in lists + more}}


# one function an endpoint: (airflow, query, body, *path)

Query = dict[str, list[str]]
Body = dict[str, Any]


def _offset_page(found: list[dict[str, Any]], items: str, query: Query) -> dict[str, Any]:
    start = int(query.get("offset", ["0"])[0])
    return {items: found[start : start + int(query["limit"][0])], "total_entries": len(found)}


def _passes(query: Query, state: str | None, updated_at: datetime) -> bool:
    since = query.get("updated_at_gte")
    return ("state" not in query or state in query["state"]) and (not since or updated_at >= datetime.fromisoformat(since[0]))


def get_instances(airflow: RestWorld, query: Query, _body: Body, dag_id: str, run_id: str) -> Any:
    if "~" not in (dag_id, run_id):
        airflow.find_run(dag_id, run_id)
    tries, task = query.get("try_number"), query.get("task_id")
    looked_at = airflow.instances.values() if "~" in (dag_id, run_id) else airflow.of_run(dag_id, run_id)
    found = [
        one
        for one in looked_at
        if dag_id in ("~", one.ref.dag_id) and run_id in ("~", one.ref.run_id) and _passes(query, one.state, one.updated_at)
        if not tries or str(one.try_number) in tries
        if not task or one.ref.task_id in task
    ]
    if query.get("order_by") == ["-start_date"]:
        newest = sorted(found, key=lambda one: _stamp(one.started_at) or "", reverse=True)[: int(query["limit"][0])]
        return {"task_instances": list(map(_instance_json, newest)), "total_entries": len(found)}
    return airflow.page(found, _instance_json, "task_instances", query)


def get_instance(airflow: RestWorld, _query: Query, _body: Body, *path: str) -> Any:
    return _instance_json(airflow.find_instance(*path))


def get_tries(airflow: RestWorld, _query: Query, _body: Body, *path: str) -> Any:
    one = airflow.find_instance(*path)
    current = [one] if one.state != "up_for_retry" else [replace(one, state="failed")]
    found = [past for past in one.earlier if past.try_number != one.try_number or one.state is None] + current
    return {"task_instances": [_instance_json(each) for each in found], "total_entries": len(found)}


def get_logs(airflow: RestWorld, query: Query, _body: Body, dag_id: str, run_id: str, task_id: str, try_number: str) -> Any:
    one = airflow.find_instance(dag_id, run_id, task_id, query.get("map_index", ["-1"])[0])
    return airflow.logs.get((one.ref, int(try_number)), [])


def patch_instance(airflow: RestWorld, _query: Query, body: Body, *path: str) -> Any:
    one = airflow.find_instance(*path)
    if len(body["note"]) > 1000:
        raise Refused(422, "note: String should have at most 1000 characters")
    if body.get("new_state"):
        airflow.set_state(one, body)
        return {"task_instances": [_instance_json(one)], "total_entries": 1}
    one.note = body["note"]
    airflow.mutations.append(Mutation("note", "/".join(path), body, (one.ref,)))
    return {"task_instances": [_instance_json(one)], "total_entries": 1}


def post_clear(airflow: RestWorld, _query: Query, body: Body, dag_id: str) -> Any:
    cleared = airflow.clear(dag_id, body)
    return {"task_instances": [_instance_json(one) for one in cleared], "total_entries": len(cleared)}


def post_clear_run(airflow: RestWorld, _query: Query, body: Body, dag_id: str, run_id: str) -> Any:
    run = airflow.find_run(dag_id, run_id)
    airflow.clear_run(run, body)
    return _run_json(run)


def get_runs(airflow: RestWorld, query: Query, _body: Body, dag_id: str) -> Any:
    found = [run for run in airflow.runs.values() if dag_id in ("~", run.dag_id) and _passes(query, run.state, run.updated_at)]
    return airflow.page(found, _run_json, "dag_runs", query)


def get_run(airflow: RestWorld, _query: Query, _body: Body, dag_id: str, run_id: str) -> Any:
    return _run_json(airflow.find_run(dag_id, run_id))


def post_run(airflow: RestWorld, _query: Query, body: Body, dag_id: str) -> Any:
    airflow.find_dag(dag_id)
    key = (dag_id, body["dag_run_id"])
    if key in airflow.runs:
        raise Refused(409, f"A DagRun with run_id {key[1]} exists already")
    run = airflow.runs[key] = Run(*key, state="queued", updated_at=airflow.now(), run_after=airflow.now(), conf=body.get("conf") or {})
    airflow.mutations.append(Mutation("trigger", "/".join(key), body))
    return _run_json(run)


def patch_run(airflow: RestWorld, _query: Query, body: Body, dag_id: str, run_id: str) -> Any:
    run = airflow.find_run(dag_id, run_id)
    run.state, run.ended_at, run.updated_at = body["state"], None, airflow.now()
    airflow.mutations.append(Mutation("run_state", f"{dag_id}/{run_id}", body))
    return _run_json(run)


def get_question(airflow: RestWorld, _query: Query, _body: Body, dag_id: str, run_id: str, task_id: str, map_index: str) -> Any:
    airflow.find_run(dag_id, run_id)
    option, user = airflow.answers.get((dag_id, run_id), (None, None))
    return {
        "subject": "?",
        "options": ["Approve", "Reject"],
        "created_at": _stamp(LONG_AGO),
        "response_received": option is not None,
        "chosen_options": [option] if option else [],
        "responded_by_user": {"id": user, "name": user} if user else None,
        "task_instance": _instance_json(TaskInstance(TaskRef(dag_id, run_id, task_id, int(map_index)), 0)),
    }


def get_dag(airflow: RestWorld, _query: Query, _body: Body, dag_id: str) -> Any:
    return _dag_json(dag_id, airflow.find_dag(dag_id))


def get_task(airflow: RestWorld, _query: Query, _body: Body, dag_id: str, task_id: str) -> Any:
    tasks = airflow.find_dag(dag_id).tasks
    if task_id not in tasks:
        raise Refused(404, f"Task with id {task_id} was not found")
    return _task_json(task_id, tasks[task_id])


def patch_dag(airflow: RestWorld, _query: Query, body: Body, dag_id: str) -> Any:
    dag = airflow.find_dag(dag_id)
    dag.is_paused = body["is_paused"]
    airflow.mutations.append(Mutation("pause", dag_id, body))
    return _dag_json(dag_id, dag)


def get_dags(airflow: RestWorld, query: Query, _body: Body) -> Any:
    wanted = set(query.get("tags", ()))
    return _offset_page([_dag_json(dag_id, dag) for dag_id, dag in sorted(airflow.dags.items()) if wanted <= set(dag.tags)], "dags", query)


def get_versions(airflow: RestWorld, _query: Query, _body: Body, dag_id: str) -> Any:
    newest = airflow.find_dag(dag_id).version
    return {"dag_versions": [_version_json(dag_id, number) for number in range(newest, 0, -1)], "total_entries": newest}


def get_tasks(airflow: RestWorld, _query: Query, _body: Body, dag_id: str) -> Any:
    tasks = airflow.find_dag(dag_id).tasks
    return {"tasks": [_task_json(task_id, task) for task_id, task in tasks.items()], "total_entries": len(tasks)}


def get_task_state(airflow: RestWorld, query: Query, _body: Body, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
    held = airflow.find_instance(dag_id, run_id, task_id, query.get("map_index", ["-1"])[0]).state_store
    if key not in held:
        raise Refused(404, f"Task state store key {key!r} not found")
    return {"key": key, "value": held[key], "updated_at": _stamp(LONG_AGO), "expires_at": None}


def put_task_state(airflow: RestWorld, query: Query, body: Body, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
    one = airflow.find_instance(dag_id, run_id, task_id, query.get("map_index", ["-1"])[0])
    one.state_store[key] = body["value"]
    airflow.mutations.append(Mutation("task_state", key, body, (one.ref,)))
    return {}


def get_backfills(airflow: RestWorld, query: Query, _body: Body) -> Any:
    found = [_backfill_json(number, one) for number, one in enumerate(airflow.backfills) if one.dag_id in query["dag_id"]]
    return _offset_page(found, "backfills", query)


def find_pool(airflow: RestWorld, name: str) -> Pool:
    if name not in airflow.pools:
        raise Refused(404, f"The Pool with name: `{name}` was not found")
    return airflow.pools[name]


def get_pool(airflow: RestWorld, _query: Query, _body: Body, name: str) -> Any:
    return _pool_json(name, find_pool(airflow, name))


def patch_pool(airflow: RestWorld, _query: Query, body: Body, name: str) -> Any:
    pool = find_pool(airflow, name)
    pool.slots = body["slots"]
    airflow.mutations.append(Mutation("pool", name, body))
    return _pool_json(name, pool)


def get_import_errors(airflow: RestWorld, query: Query, _body: Body) -> Any:
    found = [
        {"import_error_id": number, "timestamp": _stamp(at), "filename": filename, "bundle_name": "dags-folder", "stack_trace": text}
        for number, (filename, (at, text)) in enumerate(airflow.import_errors.items())
    ]
    return _offset_page(found, "import_errors", query)


def get_plugins(airflow: RestWorld, _query: Query, _body: Body) -> Any:
    return {"plugins": [_plugin_json(name) for name in airflow.plugins], "total_entries": len(airflow.plugins)}


def get_health(_airflow: RestWorld, _query: Query, _body: Body) -> Any:
    return {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")}


_DAG = "/api/v2/dags/([^/]+)"
_RUN = _DAG + "/dagRuns/([^/]+)"
_TASK = _RUN + "/taskInstances/([^/]+)"
ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Any]]] = [
    (method, re.compile(pattern), route)
    for method, pattern, route in (
        ("GET", _RUN + "/taskInstances", get_instances),
        ("GET", _TASK, get_instance),
        ("GET", _TASK + r"/(-?\d+)", get_instance),
        ("GET", _TASK + "/tries", get_tries),
        ("GET", _TASK + r"/(-?\d+)/tries", get_tries),
        ("GET", _TASK + r"/logs/(\d+)", get_logs),
        ("PATCH", _TASK + r"/(-?\d+)", patch_instance),
        ("POST", _DAG + "/clearTaskInstances", post_clear),
        ("POST", _RUN + "/clear", post_clear_run),
        ("GET", _DAG + "/dagRuns", get_runs),
        ("GET", _RUN, get_run),
        ("PATCH", _RUN, patch_run),
        ("GET", _TASK + r"/(-?\d+)/hitlDetails", get_question),
        ("POST", _DAG + "/dagRuns", post_run),
        ("GET", _DAG, get_dag),
        ("GET", _DAG + "/details", get_dag),
        ("PATCH", _DAG, patch_dag),
        ("GET", "/api/v2/dags", get_dags),
        ("GET", _DAG + "/dagVersions", get_versions),
        ("GET", _DAG + "/tasks", get_tasks),
        ("GET", _DAG + "/tasks/([^/]+)", get_task),
        ("GET", _TASK + "/state-store/([^/]+)", get_task_state),
        ("PUT", _TASK + "/state-store/([^/]+)", put_task_state),
        ("GET", "/api/v2/backfills", get_backfills),
        ("GET", "/api/v2/pools/([^/]+)", get_pool),
        ("PATCH", "/api/v2/pools/([^/]+)", patch_pool),
        ("GET", "/api/v2/importErrors", get_import_errors),
        ("GET", "/api/v2/plugins", get_plugins),
        ("GET", "/api/v2/monitor/health", get_health),
    )
]
