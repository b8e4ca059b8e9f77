"""The connection ``oncall_db`` as people define it, and the place that comes of it."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from airflow_oncall.store.engine import store_url


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
