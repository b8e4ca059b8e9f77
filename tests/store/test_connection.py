"""The connection ``oncall_db`` as people define it, and the place that comes of it."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url, text
from tests.databases import Databases

from airflow_oncall.store.engine import engine_for, store_url, transaction


def defined(monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ONCALL_DB", connection)


def test_a_server_is_named_by_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    defined(monkeypatch, "postgres://ann:secret@db.example.com:5433/oncall?sslmode=require")
    url = store_url()
    assert (url.host, url.port, url.database, dict(url.query)) == ("db.example.com", 5433, "oncall", {"sslmode": "require"})


def test_a_folder_of_a_socket_survives_the_way_through_text(monkeypatch: pytest.MonkeyPatch) -> None:
    defined(monkeypatch, '{"conn_type": "postgres", "host": "/run/postgresql", "login": "ann", "schema": "oncall"}')
    url = make_url(store_url().render_as_string(hide_password=False))
    assert (url.host, url.database, dict(url.query)) == (None, "oncall", {"host": "/run/postgresql"})


@pytest.mark.postgres
def test_connections_that_the_server_ended_are_replaced_without_an_error(databases: Databases) -> None:
    engine = engine_for(databases.create("postgresql"), 30.0)
    with transaction(engine) as one, transaction(engine) as other:
        ended = [connection.execute(text("SELECT pg_backend_pid()")).scalar_one() for connection in (one, other)]
    databases.tell_server(*(f"SELECT pg_terminate_backend({pid}, 10000)" for pid in ended))
    with transaction(engine) as one, transaction(engine) as other:
        assert not {connection.execute(text("SELECT pg_backend_pid()")).scalar_one() for connection in (one, other)} & set(ended)
