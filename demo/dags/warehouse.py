"""Jobs on a PostgreSQL that is not up yet, refuses a password, and holds the row that is to be inserted."""

from __future__ import annotations

from airflow.sdk import Connection, dag, task


def execute(conn_id: str, statement: str) -> int:
    """Run one statement in the warehouse; the number of rows it touched."""
    import psycopg

    where = Connection.get(conn_id)
    address = {"host": where.host, "port": where.port, "dbname": where.schema}
    with psycopg.connect(**address, user=where.login, password=where.password, connect_timeout=5) as connection:
        return connection.execute(statement).rowcount


@dag(tags=["demo"])
def demo_database_down() -> None:
    """The database server is not up yet."""

    @task
    def count_invoices() -> int:
        return execute("demo_warehouse", "SELECT id FROM invoices")

    count_invoices()


@dag(tags=["demo"])
def demo_wrong_password() -> None:
    """The password was changed in the database, but not in Airflow's connection."""

    @task
    def refresh_report() -> int:
        return execute("demo_warehouse_outdated", "SELECT id FROM invoices")

    refresh_report()


@dag(tags=["demo"])
def demo_duplicate_row() -> None:
    """The same invoice is delivered a second time."""

    @task
    def insert_invoice() -> int:
        return execute("demo_warehouse", "INSERT INTO invoices (id, amount) VALUES (1001, 49.90)")

    insert_invoice()


demo_database_down()
demo_wrong_password()
demo_duplicate_row()
