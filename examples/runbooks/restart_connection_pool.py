"""Runbook: have PgBouncer open its connections to one database anew, after a failover or when they all hang.

``RECONNECT`` closes each server connection when its client gives it back, so no transaction that goes on is cut off. The connection
``oncall_pgbouncer`` (Postgres) is that of PgBouncer's admin console, its database is ``pgbouncer``.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Connection, Param, task

with DAG(
    dag_id="restart_connection_pool",
    description="RECONNECT a database in PgBouncer.",
    schedule=None,
    max_active_runs=1,
    tags=["oncall-runbook"],
    params={"database": Param(type="string", minLength=1, maxLength=63, description="As PgBouncer names it")},
    doc_md=__doc__,
) as dag:

    @task
    def reconnect(params: dict[str, Any] | None = None) -> str:
        """The database whose connections are new."""
        import psycopg
        from psycopg import sql

        console, database = Connection.get("oncall_pgbouncer"), str((params or {})["database"])
        with psycopg.connect(
            host=console.host,
            port=console.port or 6432,
            user=console.login,
            password=console.password,
            dbname="pgbouncer",
            autocommit=True,
            connect_timeout=10,
        ) as connection:
            connection.execute(sql.SQL("RECONNECT {}").format(sql.Identifier(database)))  # without parameters: the console knows no others
        return database

    reconnect()
