"""``kill_spark_application``: end the Spark application that a failed try left running, then run the task instance again.

It speaks to the resource manager over HTTP: a standalone master's own page, or YARN's REST API. The application is known by its id and
its attempt; what names it in a task's log is text that anybody can write, so a person decides unless the engine's own fields named it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_oncall.act.actions.base import (
    ActContext,
    Impossible,
    Plan,
    PlanContext,
    Result,
    SharedAction,
    TargetError,
    clear,
    later,
    refused,
)
from airflow_oncall.connections import find_connection
from airflow_oncall.incident import ActionKind, Correlation

TIMEOUT = 10.0
MOST_LOOKS = 60
PAUSE_SECONDS = 5.0
_TOKEN = re.compile(r'name="csrfToken" value="([^"]+)"')
CLOCKS_DIFFER = timedelta(seconds=30)
"""Between Airflow's machine and the cluster's."""


@dataclass(frozen=True)
class Application:
    """A Spark application that runs."""

    id: str
    attempt: str
    name: str
    started_at: datetime


class KillSparkApplication(SharedAction):
    """Parameters: ``conn_id`` (needed): HTTP connection of the master's web UI, or of YARN's resource manager."""

    kind = str(ActionKind.KILL_SPARK_APPLICATION)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The application of this try, which must still run and must have begun while the try ran."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        app_id, conn_id = context.diagnosis.identifiers.get("application_id", ""), context.parameters.get("conn_id")
        if not app_id or not conn_id:
            return Impossible(f"it needs a Spark application (found {app_id or 'none'}) and parameter conn_id ({conn_id!r})")
        try:
            running = manager(str(conn_id), app_id).running(app_id)
        except TargetError as error:
            return Impossible(str(error))
        if running is None:
            return Impossible(f"application {app_id} does not run any more; a clear is enough")
        began = context.api.task_instance(context.incident.ref).started_at
        if began is None or running.started_at < began - CLOCKS_DIFFER:
            return Impossible(f"application {app_id} is older than the try that failed; it is not its own")
        ask = "" if _named_by_engine(context, app_id) else "Only the task's log names the application"
        parameters = {"conn_id": conn_id, **asdict(running), "started_at": running.started_at.isoformat()}
        return replace(planned, parameters=parameters, ask=ask)

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """Which one."""
        what = f"Spark application {parameters['id']} ({parameters['name']}, since {parameters['started_at']})"
        return f"{what} is killed, then {super().describe(parameters)}"

    def execute(self, context: ActContext) -> Result:
        """Kill the same attempt while it runs, then clear."""
        app_id = str(context.parameters["id"])
        if context.incident.looks >= MOST_LOOKS:
            return refused(f"application {app_id} still runs though it was killed")
        where = manager(str(context.parameters["conn_id"]), app_id)
        running = where.running(app_id)
        if running is None or running.attempt != context.parameters["attempt"]:
            return clear(context)
        context.make_sure_of_claim()
        where.kill(app_id)
        return later(PAUSE_SECONDS, f"application {app_id} was killed; waits for its end")


def _named_by_engine(context: PlanContext, app_id: str) -> bool:
    events = context.store.logs.events(context.incident.id)
    return any(one.correlation is Correlation.EXPLICIT and one.identifiers.get("application_id") == app_id for one in events)


class _Manager:
    def __init__(self, conn_id: str) -> None:
        found = find_connection(conn_id)
        if found is None:
            raise TargetError(f"connection {conn_id!r} is not defined; add one of type HTTP with host and port", transient=False)
        self._conn_id = conn_id
        self._base = found.host if "://" in str(found.host) else f"{found.schema or 'http'}://{found.host}:{found.port}"
        self._auth = (found.login, found.password or "") if found.login else None

    def _object(self, path: str) -> dict[str, Any]:
        """The JSON object at a path, empty where there is none. A starting master, or another server, may answer anything."""
        answer = self._ask("GET", path)
        try:
            found = json.loads(answer) if answer else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TargetError(f"connection {self._conn_id!r}: {self._base}{path} answered no JSON object: {answer[:80]!r}", transient=True)
        return found

    def _ask(self, method: str, path: str, **more: Any) -> str:
        """The text of an answer, empty where there is nothing of this name."""
        import httpx

        try:
            answer = httpx.request(method, f"{self._base}{path}", auth=self._auth, timeout=TIMEOUT, **more)
        except httpx.HTTPError as error:
            raise TargetError(f"connection {self._conn_id!r}: no answer from {self._base} ({error})", transient=True) from error
        if answer.status_code == 404:
            return ""
        if answer.status_code >= 400:
            busy = answer.status_code >= 500 or answer.status_code == 429
            raise TargetError(f"connection {self._conn_id!r}: {method} {path}: HTTP {answer.status_code}", transient=busy)
        return answer.text


class StandaloneMaster(_Manager):
    """The web UI of a standalone master (``spark.ui.killEnabled``, which is on by default)."""

    def running(self, app_id: str) -> Application | None:
        """The application, if it runs or waits for workers; its start stands for its attempt."""
        active = self._object("/json/").get("activeapps", [])
        found = next((one for one in active if one["id"] == app_id), None)
        return Application(app_id, str(found["starttime"]), str(found.get("name", "")), _moment(found["starttime"])) if found else None

    def kill(self, app_id: str) -> None:
        """Ask for its end, as the form on the master's page does: newer masters want the token that stands in it."""
        token = _TOKEN.search(self._ask("GET", "/"))
        form = {"id": app_id, "terminate": "true", **({"csrfToken": token[1]} if token else {})}
        self._ask("POST", "/app/kill/", data=form)


class Yarn(_Manager):
    """YARN's resource manager."""

    def running(self, app_id: str) -> Application | None:
        """The application, unless it has ended."""
        app = self._object(f"/ws/v1/cluster/apps/{app_id}").get("app")
        if not app or app["state"] in ("FINISHED", "FAILED", "KILLED"):
            return None
        attempts = self._object(f"/ws/v1/cluster/apps/{app_id}/appattempts").get("appAttempts") or {}
        newest = max((int(one["id"]) for one in attempts.get("appAttempt", ())), default=0)  # none yet: it waits for its first
        return Application(app_id, str(newest), str(app.get("name", "")), _moment(app["startedTime"]))

    def kill(self, app_id: str) -> None:
        """Ask for its end."""
        self._ask("PUT", f"/ws/v1/cluster/apps/{app_id}/state", json={"state": "KILLED"})


def manager(conn_id: str, app_id: str) -> StandaloneMaster | Yarn:
    """Who runs an application of this id."""
    return Yarn(conn_id) if app_id.startswith("application_") else StandaloneMaster(conn_id)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, timezone.utc)
