"""An Airflow in memory behind real HTTP: the part of its public REST API that this project uses.

Steered by the test (see :class:`tests.simulated_world.World`), read by the code under test at :attr:`SimulatedAirflow.url`,
and able to fail in the ways a real one does: refuse, hang, forget tokens, or do what was asked and never say so.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from airflow_oncall.incident import TaskRef
from tests.simulated_world import LONG_AGO, Dag, Mutation, Refused, Run, Task, TaskInstance, World


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests whose ``METHOD /path`` contains ``on``."""

    kind: str
    on: str
    times: float
    status: int = 0


class SimulatedAirflow(World):
    """A :class:`World` behind HTTP at :attr:`url`. Use as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.users = {"oncall": "secret"}
        self.page_size: int | None = None
        self._tokens: set[str] = set()
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"airflow": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> SimulatedAirflow:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # what goes wrong on the way

    def answer_with(self, status: int, *, times: float = 1, on: str = "/api/v2/") -> None:
        """Refuse with a status; nothing is done."""
        self._faults.append(Fault("status", on, times, status))

    def hang(self, *, times: float = 1, on: str = "/api/v2/") -> None:
        """Never answer; nothing is done."""
        self._faults.append(Fault("hang", on, times))

    def drop_after(self, on: str, *, times: float = 1) -> None:
        """Do what is asked, then drop the connection without an answer."""
        self._faults.append(Fault("drop", on, times))

    def mend(self) -> None:
        """No more faults."""
        self._faults.clear()

    def expire_tokens(self) -> None:
        """Every token given so far is refused from now on."""
        self._tokens.clear()

    def asked(self, part: str) -> int:
        """How many requests had ``part`` in their ``METHOD /path``."""
        return sum(part in request for request in self.requests)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any], token: str) -> Any:
        """What Airflow answers: JSON values, or an iterable of bytes. Raises :class:`Refused`."""
        with self._lock:
            if (method, path) == ("POST", "/auth/token"):
                return self._sign_in(body)
            if path != "/api/v2/monitor/health" and token not in self._tokens:
                raise Refused(401, "Invalid or missing token")
            for verb, pattern, route in ROUTES:
                if verb == method and (match := pattern.fullmatch(path)):
                    return route(self, query, body, *map(unquote, match.groups()))
        raise Refused(404, f"no route {method} {path}")

    def fault_for(self, request: str) -> Fault | None:
        """The fault that hits this request; used up by one."""
        with self._lock:
            self.requests.append(request)
            hit = next((fault for fault in self._faults if fault.on in request and fault.times > 0), None)
            if hit:
                hit.times -= 1
            return hit

    def wait_for_the_end(self) -> None:
        """Hold a request until the server closes."""
        self._closing.wait()

    def _sign_in(self, body: dict[str, Any]) -> dict[str, str]:
        if self.users.get(str(body.get("username"))) != body.get("password"):
            raise Refused(401, "Invalid credentials")
        token = uuid.uuid4().hex
        self._tokens.add(token)
        return {"access_token": token}

    def page(self, found: list[dict[str, Any]], items: str, query: dict[str, list[str]]) -> dict[str, Any]:
        """One page by cursor; the cursor is the position of the next one."""
        start = int((query.get("cursor") or ["0"])[0] or 0)
        end = start + (self.page_size or int(query["limit"][0]))
        return {items: found[start:end], "next_cursor": str(end) if end < len(found) else None, "previous_cursor": None}


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
    }


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "dag_id": run.dag_id,
        "dag_display_name": run.dag_id,
        "dag_run_id": run.run_id,
        "state": run.state,
        "end_date": _stamp(run.ended_at),
        "note": run.note,
        "conf": run.conf,
        "dag_versions": [],
        "run_after": _stamp(LONG_AGO),
        "run_type": "manual",
    }


def _dag_json(dag_id: str, dag: Dag) -> dict[str, Any]:
    return {
        "dag_id": dag_id,
        "dag_display_name": dag_id,
        "is_paused": dag.is_paused,
        "tags": [{"dag_id": dag_id, "dag_display_name": dag_id, "name": tag} for tag in dag.tags],
        "params": _params_json(dag.params),
        "owners": ["airflow"],
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


def _passes(query: Query, state: str | None, updated_at: datetime) -> bool:
    since = query.get("updated_at_gte")
    return ("state" not in query or state in query["state"]) and (not since or updated_at >= datetime.fromisoformat(since[0]))


def get_instances(airflow: SimulatedAirflow, query: Query, _body: Body, dag_id: str, run_id: str) -> Any:
    if "~" not in (dag_id, run_id):
        airflow.find_run(dag_id, run_id)
    tries = query.get("try_number")
    found = [
        _instance_json(one)
        for one in airflow.instances.values()
        if dag_id in ("~", one.ref.dag_id) and run_id in ("~", one.ref.run_id) and _passes(query, one.state, one.updated_at)
        if not tries or str(one.try_number) in tries
    ]
    return airflow.page(found, "task_instances", query)


def get_instance(airflow: SimulatedAirflow, _query: Query, _body: Body, *path: str) -> Any:
    return _instance_json(airflow.find_instance(*path))


def get_tries(airflow: SimulatedAirflow, _query: Query, _body: Body, *path: str) -> Any:
    one = airflow.find_instance(*path)
    current = [one] if one.state != "up_for_retry" else [replace(one, state="failed")]
    found = [past for past in one.earlier if past.try_number != one.try_number or one.state is None] + current
    return {"task_instances": [_instance_json(each) for each in found], "total_entries": len(found)}


def get_logs(airflow: SimulatedAirflow, query: Query, _body: Body, dag_id: str, run_id: str, task_id: str, try_number: str) -> Any:
    one = airflow.find_instance(dag_id, run_id, task_id, query.get("map_index", ["-1"])[0])
    return airflow.logs.get((one.ref, int(try_number)), [])


def patch_note(airflow: SimulatedAirflow, _query: Query, body: Body, *path: str) -> Any:
    one = airflow.find_instance(*path)
    if len(body["note"]) > 1000:
        raise Refused(422, "note: String should have at most 1000 characters")
    one.note = body["note"]
    airflow.mutations.append(Mutation("note", "/".join(path), body, (one.ref,)))
    return {"task_instances": [_instance_json(one)], "total_entries": 1}


def post_clear(airflow: SimulatedAirflow, _query: Query, body: Body, dag_id: str) -> Any:
    cleared = airflow.clear(dag_id, body)
    return {"task_instances": [_instance_json(one) for one in cleared], "total_entries": len(cleared)}


def post_clear_run(airflow: SimulatedAirflow, _query: Query, body: Body, dag_id: str, run_id: str) -> Any:
    run = airflow.find_run(dag_id, run_id)
    airflow.clear_run(run, body)
    return _run_json(run)


def get_runs(airflow: SimulatedAirflow, query: Query, _body: Body, dag_id: str) -> Any:
    found = [run for run in airflow.runs.values() if dag_id in ("~", run.dag_id) and _passes(query, run.state, run.updated_at)]
    return airflow.page([_run_json(run) for run in found], "dag_runs", query)


def get_run(airflow: SimulatedAirflow, _query: Query, _body: Body, dag_id: str, run_id: str) -> Any:
    return _run_json(airflow.find_run(dag_id, run_id))


def post_run(airflow: SimulatedAirflow, _query: Query, body: Body, dag_id: str) -> Any:
    airflow.find_dag(dag_id)
    key = (dag_id, body["dag_run_id"])
    if key in airflow.runs:
        raise Refused(409, f"A DagRun with run_id {key[1]} exists already")
    run = airflow.runs[key] = Run(*key, state="queued", updated_at=airflow.now(), conf=body.get("conf") or {})
    airflow.mutations.append(Mutation("trigger", "/".join(key), body))
    return _run_json(run)


def patch_run(airflow: SimulatedAirflow, _query: Query, body: Body, dag_id: str, run_id: str) -> Any:
    run = airflow.find_run(dag_id, run_id)
    run.state, run.ended_at, run.updated_at = body["state"], None, airflow.now()
    airflow.mutations.append(Mutation("run_state", f"{dag_id}/{run_id}", body))
    return _run_json(run)


def get_question(airflow: SimulatedAirflow, _query: Query, _body: Body, dag_id: str, run_id: str, task_id: str, map_index: str) -> Any:
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


def get_dag(airflow: SimulatedAirflow, _query: Query, _body: Body, dag_id: str) -> Any:
    return _dag_json(dag_id, airflow.find_dag(dag_id))


def get_task(airflow: SimulatedAirflow, _query: Query, _body: Body, dag_id: str, task_id: str) -> Any:
    tasks = airflow.find_dag(dag_id).tasks
    if task_id not in tasks:
        raise Refused(404, f"Task with id {task_id} was not found")
    return _task_json(task_id, tasks[task_id])


def get_import_errors(airflow: SimulatedAirflow, query: Query, _body: Body) -> Any:
    start = int(query.get("offset", ["0"])[0])
    found = [
        {"import_error_id": number, "timestamp": _stamp(at), "filename": filename, "bundle_name": "dags-folder", "stack_trace": text}
        for number, (filename, (at, text)) in enumerate(airflow.import_errors.items())
    ]
    return {"import_errors": found[start : start + int(query["limit"][0])], "total_entries": len(found)}


def get_plugins(airflow: SimulatedAirflow, _query: Query, _body: Body) -> Any:
    return {"plugins": [_plugin_json(name) for name in airflow.plugins], "total_entries": len(airflow.plugins)}


def get_health(_airflow: SimulatedAirflow, _query: Query, _body: Body) -> Any:
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
        ("PATCH", _TASK + r"/(-?\d+)", patch_note),
        ("POST", _DAG + "/clearTaskInstances", post_clear),
        ("POST", _RUN + "/clear", post_clear_run),
        ("GET", _DAG + "/dagRuns", get_runs),
        ("GET", _RUN, get_run),
        ("PATCH", _RUN, patch_run),
        ("GET", _TASK + r"/(-?\d+)/hitlDetails", get_question),
        ("POST", _DAG + "/dagRuns", post_run),
        ("GET", _DAG, get_dag),
        ("GET", _DAG + "/details", get_dag),
        ("GET", _DAG + "/tasks/([^/]+)", get_task),
        ("GET", "/api/v2/importErrors", get_import_errors),
        ("GET", "/api/v2/plugins", get_plugins),
        ("GET", "/api/v2/monitor/health", get_health),
    )
]


class _Handler(BaseHTTPRequestHandler):
    airflow: SimulatedAirflow

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        # A dry run changes nothing: faults and counts that name the clear mean the real one.
        path = url.path.replace("clearTaskInstances", "dryRunOfClear") if body.get("dry_run") else url.path
        fault = self.airflow.fault_for(f"{self.command} {path}")
        if fault and fault.kind == "hang":
            self.airflow.wait_for_the_end()
            return self._drop()
        if fault and fault.kind == "status":
            return self._json(fault.status, {"detail": "out of order"})
        try:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            answer = self.airflow.answer(self.command, url.path, parse_qs(url.query), body, token)
        except Refused as refused:
            return self._json(refused.status, {"detail": str(refused)})
        if fault:
            return self._drop()
        return self._json(200, answer) if isinstance(answer, dict) else self._stream(answer)

    do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 - the names http.server calls

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.airflow.now(), usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""

    def _json(self, status: int, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def _stream(self, lines: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in lines:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:  # the reader has enough
            self._drop()

    def finish(self) -> None:
        with suppress(OSError):  # the client went first
            super().finish()

    def _drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
