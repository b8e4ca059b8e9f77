"""Where the store lives and how to reach it: one engine a process, short timeouts, every failure one of our errors."""

from __future__ import annotations

import os
import re
import selectors
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import URL, Connection, Engine, Executable, NullPool, RowMapping, create_engine, event, make_url
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError

from airflow_oncall import conf
from airflow_oncall.connections import find_connection
from airflow_oncall.errors import BadSetting, SchemaOutdated, StoreError, StoreRefused, StoreUnavailable
from airflow_oncall.store.audit import PENDING, write_pending

DEFAULT_FILE = "oncall.db"
LONG_IDLE = 60.0
"""Seconds after which a connection is asked whether it still leads anywhere: what keeps track of it on the way may have forgotten it."""
_MISSING_SCHEMA = re.compile(r"no such (table|column)|has no column named")


def store_url() -> URL:
    """URL of the connection ``[oncall] conn_id``; SQLite under AIRFLOW_HOME where it is not defined."""
    connection = find_connection(conf.conn_id())
    if connection is None:
        return URL.create("sqlite", database=str(conf.airflow_home() / "oncall" / DEFAULT_FILE))
    kind = str(connection.conn_type).replace("postgresql", "postgres")
    if kind == "sqlite":
        return URL.create("sqlite", database=_sqlite_path(connection))
    if kind == "postgres":
        return _postgres_url(connection)
    raise BadSetting(f"connection {conf.conn_id()!r} has type {connection.conn_type!r}; the incident store needs postgres or sqlite")


def _postgres_url(connection: Any) -> URL:
    query = {key: str(value) for key, value in connection.extra_dejson.items() if isinstance(value, (str, int))}
    host = connection.host or None
    if host and host.startswith("/"):  # the folder of a socket, which has no place in a URL's host
        query, host = {"host": host} | query, None
    return URL.create(
        f"postgresql+{_postgres_driver()}",
        username=connection.login or None,
        password=connection.password or None,
        host=host,
        port=connection.port or None,
        database=connection.schema or None,
        query=query,
    )


def shown(url: URL) -> str:
    """The store's place for messages: no user, no password and no query, for any of them may hold a secret."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()}://{url.host or ''}{port}/{url.database or ''}"


def _sqlite_path(connection: Any) -> str:
    path = connection.host or connection.schema or ""
    if not path:
        raise BadSetting(f"connection {conf.conn_id()!r} names no file; use sqlite:////absolute/path.db")
    return str(Path(path))


@cache
def _postgres_driver() -> str:
    from importlib.util import find_spec

    for driver in ("psycopg", "psycopg2"):
        if find_spec(driver):
            return driver
    raise BadSetting("the incident store is on PostgreSQL but no driver is installed; pip install 'airflow-oncall[postgres]'")


def engine_for(url: URL, patience: float) -> Engine:
    """The engine of this process. ``patience``: seconds to wait for a lock or a connection.

    Keyed by process id, because Airflow forks workers after the parent may have opened one.
    """
    return _engine(os.getpid(), url.render_as_string(hide_password=False), patience)


@cache
def _engine(pid: int, url: str, patience: float) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, poolclass=NullPool, connect_args={"timeout": patience})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    milliseconds = int(patience * 1000)
    # Of the keepalive the operator's own settings count, which stand in the URL.
    alive = {"keepalives_idle": int(LONG_IDLE), "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": milliseconds}
    engine = create_engine(
        parsed,
        pool_size=2,
        connect_args={
            "connect_timeout": max(2, int(patience)),  # libpq takes no less
            "application_name": "airflow-oncall",
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            **{name: value for name, value in alive.items() if name not in parsed.query},
        },
    )
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", partial(_refuse_ended, engine.dialect))
    return engine


def _note_idle(_connection: object, record: Any) -> None:
    record.info["idle_since"] = monotonic()


def _refuse_ended(dialect: Any, connection: Any, record: Any, _proxy: object) -> None:
    """Have the pool open another one in place of a connection that has ended.

    Where there is something to read from a server that was asked nothing, it is the connection's end. Only one that lay idle for long
    is asked (``pool_pre_ping`` would ask every time, which doubles the round trips of each transaction).
    """
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            if selector.select(0):
                raise DisconnectionError("the server has ended it")
        if monotonic() - record.info.get("idle_since", monotonic()) > LONG_IDLE:
            dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError(f"it leads nowhere any more: {error}") from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own, see _begin_sqlite
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a committed failure also survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot wait for another writer; taking the write lock at once can.
    reading = connection.get_execution_options().get("oncall_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine, *, reading: bool = False) -> Iterator[Connection]:
    """One transaction, with what was noted for the audit log; whatever the database says against it is raised as a ``StoreError``."""
    looking = _LOOK.get()
    if reading and looking is not None and looking[0] is engine:
        yield looking[1]
        return
    try:
        with engine.connect() as connection, connection.execution_options(oncall_reading=reading, **{PENDING: []}).begin():
            yield connection
            write_pending(connection)
    except DBAPIError as error:
        raise _translated(error, engine) from error
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"incident store {shown(engine.url)}: {error}") from error


def rows(engine: Engine, query: Executable) -> Sequence[RowMapping]:
    """All rows of a query, in a transaction that only reads."""
    with transaction(engine, reading=True) as connection:
        return connection.execute(query).mappings().all()


_LOOK: ContextVar[tuple[Engine, Connection] | None] = ContextVar("oncall_look", default=None)


@contextmanager
def one_look(engine: Engine) -> Iterator[None]:
    """Everything that is read inside is read over one connection, and as of one moment."""
    reader = engine.execution_options(isolation_level="REPEATABLE READ") if engine.dialect.name == "postgresql" else engine
    if _LOOK.get() is not None:
        yield
        return
    with transaction(reader, reading=True) as connection:
        token = _LOOK.set((engine, connection))
        try:
            yield
        finally:
            _LOOK.reset(token)


def _translated(error: DBAPIError, engine: Engine) -> StoreError:
    state = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    if state in {"42P01", "42703"} or _MISSING_SCHEMA.search(str(error.orig)):
        return SchemaOutdated(f"incident store {shown(engine.url)} lacks our tables ({error.orig}); run `airflow oncall db upgrade`")
    if isinstance(error, (DataError, IntegrityError)):  # SQLSTATE classes 22 and 23: it is the row, not the store
        return StoreRefused(f"incident store {shown(engine.url)} will never take this row: {error.orig}")
    return StoreUnavailable(f"incident store {shown(engine.url)} cannot be used: {error.orig}")
