"""Jobs of a ledger and a stock in PostgreSQL; the test's sessions and settings decide how each statement ends.

Names say nothing of what goes wrong, because a traceback shows them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Variable, get_current_context, task


def execute(*statements: str, base: str = "outside_books", who: str = "user=etl dbname=books") -> None:
    import psycopg

    name = get_current_context()["ti"].task_id
    with psycopg.connect(f"{Variable.get(base)} {who}", application_name=name, connect_timeout=5) as connection:
        for statement in statements:
            connection.execute(statement)


def execute_sqlalchemy(statement: str) -> None:
    from sqlalchemy import create_engine, text

    with create_engine(Variable.get("outside_books_url")).begin() as connection:
        connection.execute(text(statement))


SHARED: dict[str, Any] = {"schedule": None, "default_args": {"priority_weight": 0}}
"""Triage goes first where slots are few."""
BOOK = "UPDATE accounts SET balance = balance + 1 WHERE id = {}"
PAUSE = "SELECT pg_sleep(1.5)"

with DAG("f_ledger", **SHARED):
    task(task_id="open_books")(execute)(BOOK.format(1), base="outside_branch")
    task(task_id="close_books")(execute)(BOOK.format(1), base="outside_office")
    task(task_id="read_rates")(execute)("SELECT 1", who="user=clerk dbname=books")
    task(task_id="read_archive")(execute)("SELECT 1", who="user=etl dbname=archive")
    task(task_id="sum_entries")(execute)(PAUSE, "SELECT sum(balance) FROM accounts")
    task(task_id="post_entries")(execute)(BOOK.format(2), PAUSE, BOOK.format(3))
    task(task_id="book_fees")(execute)("SET lock_timeout = '300ms'", BOOK.format(4))
    task(task_id="book_taxes")(execute)("SET statement_timeout = '500ms'", BOOK.format(5))
    task(task_id="book_interest")(execute)("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "TABLE accounts", PAUSE, BOOK.format(6))
    task(task_id="reserve")(execute)("SELECT balance FROM accounts WHERE id = 7 FOR UPDATE NOWAIT")
    task(task_id="settle", execution_timeout=timedelta(seconds=3))(execute)(BOOK.format(8))

with DAG("f_stock", **SHARED):
    task(task_id="insert_item")(execute)("INSERT INTO items (id, name, amount) VALUES (1, 'bolt', 5)")
    task(task_id="insert_nameless")(execute)("INSERT INTO items (id, name, amount) VALUES (2, NULL, 5)")
    task(task_id="insert_amount")(execute_sqlalchemy)("INSERT INTO items (id, name, amount) VALUES (3, 'nut', -5)")
    task(task_id="find_item")(execute)("SELECT name FROM items WHERE id = 'A-17'")
    task(task_id="read_batches")(execute)("SELECT count(*) FROM batches")
    task(task_id="read_lots")(execute_sqlalchemy)("SELECT count(*) FROM lotts")
    task(task_id="read_shelves")(execute)("SELECT shelf FROM items")
    task(task_id="read_costs")(execute)("SELECT sum(amount) FROM costs")
    task(task_id="read_plan")(execute)("SELECT 1", who="user=planner dbname=books password=of-last-year")
    task(task_id="read_depot")(execute)("SELECT 1", who="user=etl dbname=depot")
    task(task_id="sort_moves")(execute)(
        "SELECT n FROM generate_series(1, 300000) AS moves (n) ORDER BY md5(n::text)", who="user=sorter dbname=books"
    )
    task(task_id="add_item")(execute)("INSERT INTO items (id, name, amount) VALUES (4, 'screw', 5)", who="user=reader dbname=books")
