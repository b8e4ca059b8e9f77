"""What PostgreSQL is told of the task instance that speaks to it."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, NullPool, create_engine, text

from airflow_oncall.capture.logs import task_key as module
from airflow_oncall.capture.logs.claims import claims
from airflow_oncall.capture.logs.task_key import KEY_PATTERN, postgres_options, refs_in_sql, sql_comment, task_key
from airflow_oncall.errors import StoreUnavailable
from airflow_oncall.incident import TaskRef
from airflow_oncall.store.sql import Store
from tests.databases import Databases

NIGHTLY = TaskRef("nightly_orders", "scheduled__2026-11-21T02:00:00+00:00", "load", 3)
HOSTILE = "x*/ DROP TABLE t; -- :bind %s %(a)s ? {{ jinja }} 'é\n"


def context_of(ref: TaskRef) -> dict[str, Any]:
    ids = {"dag_id": ref.dag_id, "run_id": ref.run_id, "task_id": ref.task_id, "map_index": ref.map_index}
    return {"ti": SimpleNamespace(**ids, try_number=2)}


@pytest.fixture
def remembering(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store that tasks of this test open."""
    monkeypatch.setattr("airflow_oncall.store.open_store", lambda **_: sqlite_store)
    return sqlite_store


def test_a_key_is_the_same_whoever_makes_it_and_another_for_every_try() -> None:
    assert task_key(NIGHTLY, 2) == task_key(TaskRef(NIGHTLY.dag_id, NIGHTLY.run_id, NIGHTLY.task_id, 3), 2)
    assert len({task_key(NIGHTLY, 1), task_key(NIGHTLY, 2), task_key(TaskRef(NIGHTLY.dag_id, NIGHTLY.run_id, "load"), 2)}) == 3
    assert KEY_PATTERN.fullmatch(task_key(NIGHTLY, 2))


def test_options_name_the_task_and_the_store_remembers_it(remembering: Store) -> None:
    options = postgres_options(context_of(NIGHTLY))
    assert options == {"application_name": task_key(NIGHTLY, 2)}
    assert remembering.logs.resolve_keys([options["application_name"]]) == {task_key(NIGHTLY, 2): (NIGHTLY, 2)}


@pytest.mark.postgres
def test_a_session_bears_the_key(remembering: Store, databases: Databases) -> None:
    url = databases.create("postgresql")
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(), **postgres_options(context_of(NIGHTLY))) as session:  # type: ignore[arg-type]
        assert session.execute("SHOW application_name").fetchone() == (task_key(NIGHTLY, 2),)


def test_a_store_that_is_down_costs_the_task_one_log_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def down(**_: object) -> Store:
        raise StoreUnavailable("the incident store is away")

    monkeypatch.setattr("airflow_oncall.store.open_store", down)
    with caplog.at_level(logging.WARNING):
        assert postgres_options(context_of(NIGHTLY)) == {"application_name": task_key(NIGHTLY, 2)}
    assert "the incident store is away" in caplog.text


def test_a_store_that_hangs_is_left_behind(remembering: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def hanging(**_: object) -> Store:
        release.wait()
        return remembering

    monkeypatch.setattr("airflow_oncall.store.open_store", hanging)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with caplog.at_level(logging.WARNING):
        assert postgres_options(context_of(NIGHTLY))
    release.set()
    assert "the task goes on" in caplog.text


def test_outside_of_a_task_there_is_nothing_to_tell() -> None:
    assert postgres_options() == {}
    assert sql_comment() == ""


def test_a_comment_is_read_back() -> None:
    ids = {"dag_id": NIGHTLY.dag_id, "run_id": NIGHTLY.run_id, "task_id": "load", "map_index": "3", "try_number": "2"}
    statement = f"{sql_comment(context_of(NIGHTLY))} SELECT 1"
    assert refs_in_sql(f"STATEMENT:  {statement}") == [ids]
    assert claims(statement).items() >= {"dag_id": NIGHTLY.dag_id, "run_id": NIGHTLY.run_id, "task_id": "load"}.items()
    assert refs_in_sql("SELECT 1 /* airflow */ /* dag_id=x */") == []


def test_no_id_breaks_out_of_its_comment(databases: Databases) -> None:
    comment = sql_comment(context_of(TaskRef(HOSTILE, HOSTILE, HOSTILE)))
    assert comment.count("*/") == 1
    assert comment.endswith(" */")
    assert refs_in_sql(comment)[0]["dag_id"] == HOSTILE
    engine = create_engine(databases.create("sqlite"), poolclass=NullPool)
    with engine.connect() as connection:
        assert connection.execute(text(f"{comment} SELECT :one"), {"one": 1}).scalar() == 1


@pytest.mark.postgres
def test_no_id_is_a_placeholder_to_psycopg(databases: Databases) -> None:
    comment = sql_comment(context_of(TaskRef(HOSTILE, "a:b::c", ":x")))
    url: URL = databases.create("postgresql").set(drivername="postgresql")
    with psycopg.connect(url.render_as_string()) as session:
        assert session.execute(f"{comment} SELECT %s".encode(), (7,)).fetchone() == (7,)
