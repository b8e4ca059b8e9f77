"""Tells PostgreSQL which task instance a session belongs to: by ``application_name``, or by a comment in the SQL.

``application_name`` ends at 63 bytes, too few for four ids, so it holds a key that is made from them. Whoever knows the ids can make
it again; to find the ids of a key, it is also remembered in the incident store.

    psycopg.connect(dsn, **postgres_options())
    create_engine(url, connect_args=postgres_options())
    PostgresHook("dwh", options="-c application_name={application_name}".format(**postgres_options()))

and in templates, which are rendered where the task runs, ``{{ macros.oncall.oncall_application_name() }}``.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

from jinja2 import pass_context

from airflow_oncall.errors import OnCallError
from airflow_oncall.incident import TaskRef

log = logging.getLogger(__name__)

KEY_PATTERN = re.compile(r"airflow-[0-9a-f]{20}")
PATIENCE = 1.5
"""Seconds that a task waits at most until its key is remembered."""
_COMMENT = re.compile(r"/\* airflow ((?:[a-z_]+=[A-Za-z0-9_.:+~-]* )+)\*/")
_COMMENT_IDS = ("dag_id", "run_id", "task_id", "map_index", "try_number")


def task_key(ref: TaskRef, try_number: int) -> str:
    """The key of one try of a task instance: always the same, 28 characters."""
    return "airflow-" + hashlib.sha256(f"{ref.key}/{try_number}".encode()).hexdigest()[:20]


def postgres_options(context: Mapping[str, Any] | None = None) -> dict[str, str]:
    """``{"application_name": key}`` of the running task instance, for ``psycopg.connect`` and SQLAlchemy's ``connect_args``.

    Remembers the key in the incident store. Never fails: outside of a task there is nothing to tell and the result is empty.
    """
    found = _running(context)
    if found is None:
        return {}
    key = task_key(*found)
    aside = threading.Thread(target=_remember, args=(key, *found), name="oncall-task-key", daemon=True)
    aside.start()
    aside.join(PATIENCE)
    if aside.is_alive():
        log.warning("The incident store did not take the key %s of %s in %s s; the task goes on", key, found[0], PATIENCE)
    return {"application_name": key}


@pass_context
def oncall_application_name(context: Any) -> str:
    """The template macro: the value of :func:`postgres_options`."""
    return postgres_options(context)["application_name"]


def sql_comment(context: Mapping[str, Any] | None = None) -> str:
    """``/* airflow dag_id=.. run_id=.. task_id=.. map_index=.. try_number=.. */`` to put before a statement; empty outside of a task.

    No id can end the comment, nor pass for a placeholder of a driver: everything but letters, digits and ``_ . : + -`` is written
    as ``~`` and two hex digits a byte.
    """
    found = _running(context)
    if found is None:
        return ""
    ref, try_number = found
    values = (ref.dag_id, ref.run_id, ref.task_id, str(ref.map_index), str(try_number))
    return f"/* airflow {' '.join(f'{name}={_safe(value)}' for name, value in zip(_COMMENT_IDS, values, strict=True))} */"


def refs_in_sql(text: str) -> list[dict[str, str]]:
    """What comments of :func:`sql_comment` claim: free text, which anybody can write, so for ``LogEvent.claimed`` only."""
    comments = ((pair.partition("=") for pair in found[1].split()) for found in _COMMENT.finditer(text))
    return [{name: _plain(value) for name, _, value in pairs} for pairs in comments]


def _running(context: Mapping[str, Any] | None) -> tuple[TaskRef, int] | None:
    """The task instance of the context, else of this process."""
    if context is None:
        from airflow.sdk import get_current_context

        try:
            context = get_current_context()
        except RuntimeError:
            log.warning("No task is running here, so PostgreSQL is not told of one")
            return None
    ti = context["ti"]
    index = ti.map_index
    return TaskRef(ti.dag_id, ti.run_id, ti.task_id, -1 if index is None else index), ti.try_number


def _remember(key: str, ref: TaskRef, try_number: int) -> None:
    from airflow_oncall.store import open_store

    try:
        open_store(migrate=False, patience=1.0).logs.remember_key(key, ref, try_number)
    except OnCallError as error:
        log.warning("The key %s of %s is not remembered; log records that carry it may stay without their task: %s", key, ref, error)


def _safe(value: str) -> str:
    # A colon after anything but a word would be a bind parameter to SQLAlchemy.
    return re.sub(r"[^A-Za-z0-9_.:+-]|(?<![A-Za-z0-9_]):", lambda found: "".join(f"~{byte:02x}" for byte in found[0].encode()), value)


def _plain(value: str) -> str:
    raw = re.sub(rb"~([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), value.encode())
    return raw.decode("utf-8", "replace")
