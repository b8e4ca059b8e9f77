"""Airflow connections, read the same way in every process: task, callback, listener, triggerer and command line."""

from __future__ import annotations

import os
from typing import Any


def find_connection(conn_id: str) -> Any | None:
    """Give the Airflow connection, or ``None`` where none of that name is defined."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        return None


def read_like_a_server() -> None:
    """Let this process see connections that stand in Airflow's database, as Airflow's own commands do.

    For the command line only: tasks reach them through their supervisor.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
