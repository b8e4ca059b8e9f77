"""A store that is away, read-only or older than the code says so in our own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text
from tests.cast import vendor_was_down
from tests.databases import Databases

from airflow_oncall.errors import SchemaNewer, SchemaOutdated, StoreError, StoreUnavailable
from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.schema import HEAD, current_revision, upgrade
from airflow_oncall.store.sql import Store


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_missing_tables_are_told_with_the_command_that_makes_them(databases: Databases, kind: str) -> None:
    store = Store.over(engine_for(databases.create(kind), 2.0), "triage-1")
    with pytest.raises(SchemaOutdated, match="run `airflow oncall db upgrade`"):
        store.intake.record(vendor_was_down)
    assert current_revision(store.engine) is None


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_tables_of_an_older_version_are_told_too(databases: Databases, kind: str) -> None:
    engine = engine_for(databases.migrated(kind), 2.0)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE oncall_occurrences DROP COLUMN log_tail"))
    with pytest.raises(SchemaOutdated):
        Store.over(engine, "triage-1").intake.record(vendor_was_down)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_tables_of_a_newer_version_are_told_with_both_revisions_and_left_alone(databases: Databases, kind: str) -> None:
    engine = engine_for(databases.migrated(kind), 2.0)
    with engine.begin() as connection:
        connection.execute(text("UPDATE oncall_alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaNewer, match=f"revision 9999, this code knows {HEAD} at most; install the version of airflow-oncall that"):
        upgrade(engine)
    assert current_revision(engine) == "9999"


def test_a_read_only_file_refuses_writes_and_gives_reads(databases: Databases) -> None:
    url = databases.migrated("sqlite")
    reader = engine_for(URL.create("sqlite", database=f"file:{url.database}", query={"mode": "ro", "uri": "true"}), 2.0)
    store = Store.over(reader, "triage-1")
    assert store.reading.incidents() == []
    with pytest.raises(StoreUnavailable, match="readonly database"):
        store.intake.record(vendor_was_down)


def test_a_locked_file_is_waited_for_only_as_long_as_one_has_patience(databases: Databases) -> None:
    url = databases.migrated("sqlite")
    other = create_engine(url)
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            Store.over(engine_for(url, 0.1), "capture").intake.record(vendor_was_down)
    other.dispose()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "oncall.db").write_text("something else entirely, long enough to be no empty database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store.over(engine_for(URL.create("sqlite", database=str(tmp_path / "oncall.db")), 2.0), "triage-1").reading.incidents()


@pytest.mark.parametrize("call", [upgrade, lambda engine: Store.over(engine, "w").reading.incidents()], ids=["upgrade", "reading"])
def test_a_place_where_no_file_can_be_is_told(tmp_path: Path, call: Callable[..., object]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable):
        call(engine_for(URL.create("sqlite", database=str(tmp_path / "file" / "oncall.db")), 2.0))


def test_upgrading_what_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "oncall.db").write_text("something else entirely, long enough to be no empty database" * 100)
    with pytest.raises(StoreUnavailable):
        upgrade(engine_for(URL.create("sqlite", database=str(tmp_path / "oncall.db")), 2.0))


@pytest.mark.postgres
def test_a_database_that_was_stopped_is_told(databases: Databases) -> None:
    url = databases.migrated("postgresql")
    engine = engine_for(url, 2.0)
    engine.connect().close()  # it stays in the pool, and breaks there
    databases.tell_server(f"DROP DATABASE {url.database} WITH (FORCE)")
    with pytest.raises(StoreUnavailable):
        Store.over(engine, "triage-1").intake.record(vendor_was_down)
    engine.dispose()


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    url = URL.create("postgresql+psycopg", username="oncall", password="hunter2", host="127.0.0.1", port=9, database="oncall")
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store.over(engine_for(url, 2.0), "triage-1").reading.incidents()
    assert "hunter2" not in str(caught.value)
