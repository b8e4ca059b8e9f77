"""The connection ``oncall_db`` as people define it, and the place that comes of it."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from sqlalchemy import URL, Engine, make_url, text
from tests.databases import Databases

from airflow_oncall.store import engine as engines
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


class Gateway(ThreadingTCPServer):
    """Stands between us and a server, and may forget which connections it has."""

    daemon_threads = True

    def __init__(self, url: URL) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.socket_path = f"{url.query['host']}/.s.PGSQL.{url.port or 5432}"
        self.forgot = 0

    def forget(self) -> None:
        """Say nothing to anybody; who sends something on a connection of before learns that there is none."""
        self.forgot += 1


class Passage(BaseRequestHandler):
    """One connection through the gateway."""

    server: Gateway

    def handle(self) -> None:
        """Pass on what comes, as long as it is known."""
        known_until = self.server.forgot
        with closing(socket.socket(socket.AF_UNIX)) as database:
            database.connect(self.server.socket_path)
            ways = {self.request: database, database: self.request}
            while True:
                for source in select.select(list(ways), [], [])[0]:
                    said = source.recv(65536)
                    if source is self.request and self.server.forgot > known_until:
                        source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed, it is reset
                        source.close()
                        return
                    if not said:
                        return
                    ways[source].sendall(said)


@pytest.fixture
def gateway(databases: Databases) -> Iterator[Gateway]:
    """One to a server with an empty database."""
    with Gateway(databases.create("postgresql")) as gateway:
        thread = Thread(target=gateway.serve_forever)
        thread.start()
        yield gateway
        gateway.shutdown()
        thread.join()


@pytest.fixture
def through(gateway: Gateway, databases: Databases) -> Iterator[Engine]:
    """The store's engine, over the gateway."""
    url = databases.create("postgresql").set(host="127.0.0.1", port=gateway.server_address[1], query={})
    engine = engine_for(url, 30.0)
    yield engine
    engine.dispose()


def pid(engine: Engine) -> int:
    """Of the server's process behind the connection."""
    with transaction(engine) as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


@pytest.mark.postgres
def test_a_connection_that_was_forgotten_on_the_way_while_it_lay_idle_is_replaced_without_an_error(
    gateway: Gateway, through: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pid(through)
    assert pid(through) == first
    gateway.forget()
    monkeypatch.setattr(engines, "LONG_IDLE", 0.0)
    assert pid(through) != first


@pytest.mark.postgres
def test_the_operator_s_own_keepalive_counts(databases: Databases) -> None:
    engine = engine_for(databases.create("postgresql").update_query_dict({"keepalives_idle": "7"}), 30.0)
    with closing(engine.raw_connection()) as connection:
        told = connection.driver_connection.info.get_parameters()  # type: ignore[union-attr]
    assert (told["keepalives_idle"], told["tcp_user_timeout"]) == ("7", "30000")
