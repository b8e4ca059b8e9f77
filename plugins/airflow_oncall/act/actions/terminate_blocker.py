"""``terminate_blocker``: end the one PostgreSQL session whose locks the task waited for, then run the task instance again.

The session is known by its process id and the moment it began, so another one that got the same process id is never ended. It ends
other people's work: a person decides, unless the policy's rule says ``ask: false``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
from airflow_oncall.incident import ActionKind

if TYPE_CHECKING:
    from psycopg import Connection

TIMEOUT = 10
MOST_LOOKS = 60
"""Looks, one a second, after which a session that was told to end and did not is a person's."""

FIND = """
SELECT pid, backend_start, xact_start, usename, coalesce(application_name, '') AS application_name, state,
       (SELECT count(*) FROM pg_stat_activity AS waiting WHERE one.pid = ANY(pg_blocking_pids(waiting.pid))) AS blocks
FROM pg_stat_activity AS one
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
  AND xact_start < %(failed_at)s AND cardinality(pg_blocking_pids(pid)) = 0
  AND EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = one.pid AND granted AND locktype = 'relation' AND mode <> 'AccessShareLock')
"""
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(backend_start)s"


class TerminateBlocker(SharedAction):
    """Parameters: ``conn_id`` of the database (needed), ``ask``."""

    kind = str(ActionKind.TERMINATE_BLOCKER)

    def plan(self, context: PlanContext) -> Plan | Impossible:
        """The session that holds locks since before the failure and waits for nobody: it must be one, and no more."""
        planned = super().plan(context)
        if isinstance(planned, Impossible):
            return planned
        conn_id = context.parameters.get("conn_id")
        if not conn_id:
            return Impossible("parameter conn_id has no default; name the connection of the database")
        failed_at = context.store.reading.occurrences(context.incident.id)[-1].happened_at
        try:
            found = blockers(str(conn_id), failed_at)
        except TargetError as error:
            return Impossible(str(error))
        if len(found) != 1:
            return Impossible(f"{len(found)} sessions hold locks since before the failure; it has to be one")
        ask = "" if context.parameters.get("ask") is False else "It ends the session of somebody else"
        return replace(planned, parameters={"conn_id": conn_id, **found[0]}, ask=ask)

    def describe(self, parameters: Mapping[str, Any]) -> str:
        """Whose session, and since when."""
        who = f"{parameters['usename']} ({parameters['application_name'] or 'no application name'}, {parameters['state']})"
        ended = f"session {parameters['pid']} of {who}, which began at {parameters['backend_start']}, is ended"
        return f"{ended}, then {super().describe(parameters)}"

    def execute(self, context: ActContext) -> Result:
        """End it while it is there, then clear."""
        if context.incident.looks >= MOST_LOOKS:
            return refused(f"session {context.parameters['pid']} was told to end {MOST_LOOKS} times and did not")
        context.make_sure_of_claim()
        if end_session(context.parameters):
            return later(1, f"session {context.parameters['pid']} was told to end")
        return clear(context)


def blockers(conn_id: str, failed_at: datetime) -> list[dict[str, Any]]:
    """Sessions that may have stood in the way; those that block others now, else those that sit idle in a transaction."""
    from psycopg.rows import dict_row

    with _connected(conn_id) as connection:
        found = connection.cursor(row_factory=dict_row).execute(FIND, {"failed_at": failed_at}).fetchall()
    blocking = [one for one in found if one["blocks"]] or [one for one in found if one["state"] == "idle in transaction"]
    return [{name: value.isoformat() if isinstance(value, datetime) else value for name, value in one.items()} for one in blocking]


def end_session(session: Mapping[str, Any]) -> bool:
    """Tell exactly this session to end; ``False`` when it is gone."""
    with _connected(session["conn_id"]) as connection:
        return connection.execute(END, {"pid": session["pid"], "backend_start": session["backend_start"]}).fetchone() is not None


@contextmanager
def _connected(conn_id: str) -> Iterator[Connection[Any]]:
    try:
        import psycopg
    except ImportError as error:
        raise TargetError("terminate_blocker needs psycopg: pip install 'airflow-oncall[postgres]'", transient=False) from error
    found = find_connection(conn_id)
    if found is None:
        raise TargetError(f"connection {conn_id!r} is not defined; add one of type Postgres", transient=False)
    where = {"host": found.host, "port": found.port, "user": found.login, "password": found.password, "dbname": found.schema}
    try:
        with psycopg.connect(
            **{name: value for name, value in where.items() if value},
            connect_timeout=TIMEOUT,
            options=f"-c statement_timeout={TIMEOUT}s",
            application_name="airflow-oncall",
            autocommit=True,
        ) as connection:
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        advice = "its user needs the roles pg_signal_backend and pg_read_all_stats"
        raise TargetError(f"connection {conn_id!r}: {error.diag.message_primary}; {advice}", transient=False) from error
    except psycopg.OperationalError as error:
        raise TargetError(f"connection {conn_id!r}: {error}; is the database up?", transient=True) from error
