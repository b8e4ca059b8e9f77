"""PostgreSQL asked over SQL: a session of an Airflow connection, and the server log where its files are out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from airflow_oncall.capture.logs.postgres_files import PACKED, LogFile, LogReader, ServerSettings, Start
from airflow_oncall.capture.logs.postgres_rows import Format
from airflow_oncall.capture.logs.source import Batch, Cursor, SourceFailed
from airflow_oncall.capture.redact import redact
from airflow_oncall.connections import find_connection

if TYPE_CHECKING:
    from psycopg import Connection

APPLICATION = "airflow-oncall"
_PATIENCE = {"connect_timeout": "10", "options": "-c statement_timeout=30s -c lock_timeout=5s"}
_READ = "pg_read_binary_file(text,bigint,bigint,boolean)"


class Refused(SourceFailed):
    """The server takes no session; ``full`` where its connections are used up."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


@contextmanager
def session(source: str, conn_id: str) -> Iterator[Connection[tuple[Any, ...]]]:
    """A session in which each statement commits. Whatever PostgreSQL says against it is raised as ``SourceFailed``."""
    try:
        import psycopg
    except ImportError as error:
        raise SourceFailed(f"source {source!r} needs psycopg: pip install 'airflow-oncall[postgres]'") from error
    where = _where(source, conn_id)
    try:
        connection = psycopg.connect(**where, autocommit=True)
    except psycopg.Error as error:
        said = redact(str(error), 500)
        full = "too many clients already" in said or "remaining connection slots" in said
        raise Refused(f"source {source!r} gets no session on connection {conn_id!r}: {said}", full=full) from None
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise SourceFailed(f"source {source!r}, connection {conn_id!r}: {redact(str(error), 500)}") from None


def _where(source: str, conn_id: str) -> dict[str, Any]:
    from psycopg.pq import Conninfo

    connection = find_connection(conn_id)
    if connection is None:
        raise SourceFailed(
            f"source {source!r} needs connection {conn_id!r}, which is not defined; `airflow connections add {conn_id}` adds it"
        )
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    extra = {key: str(value) for key, value in connection.extra_dejson.items() if key in known}  # others are for Airflow's own hook
    own = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
    }
    return {"application_name": APPLICATION, **_PATIENCE, **extra, **{key: value for key, value in own.items() if value}}


def server_settings(connection: Connection[tuple[Any, ...]]) -> ServerSettings:
    """How the server writes its log."""
    prefix, zone = _row(connection, "SELECT current_setting('log_line_prefix'), current_setting('log_timezone')")
    return ServerSettings(log_line_prefix=prefix, log_timezone=zone)


def _row(connection: Connection[tuple[Any, ...]], query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return row


class PostgresSqlSettings(BaseModel):
    """The server log over SQL. The role needs ``pg_monitor`` and EXECUTE on ``pg_read_binary_file``."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["postgres_sql"] = "postgres_sql"
    conn_id: str
    """Airflow connection of the server."""
    format: Format | Literal["auto"] = "auto"
    """As for ``postgres_files``."""
    start: Start = "end"
    """Where files are begun that were there at the first poll; later ones are read from their start."""

    def source(self, name: str) -> PostgresSqlSource:
        """The source of this name."""
        return PostgresSqlSource(name, self.conn_id, self.format, self.start)


@dataclass
class PostgresSqlSource:
    """See :class:`PostgresSqlSettings`."""

    name: str
    conn_id: str
    format: Format | Literal["auto"] = "auto"
    start: Start = "end"

    def read(self, cursor: Cursor) -> Iterator[Batch]:
        """See ``LogSource``."""
        with session(self.name, self.conn_id) as connection:
            self._check_rights(connection)
            settings = server_settings(connection)
            yield from LogReader(self.name, _ServerFolder(self.name, connection), settings, self.format, self.start).batches(cursor)

    def _check_rights(self, connection: Connection[tuple[Any, ...]]) -> None:
        """Asked first: a refusal would be an error in the very log that is read."""
        query = (
            "SELECT quote_ident(current_user), has_function_privilege('pg_ls_logdir()', 'EXECUTE')"
            f" AND pg_has_role('pg_read_all_settings', 'USAGE'), has_function_privilege('{_READ}', 'EXECUTE')"
        )
        role, lists, reads = _row(connection, query)
        grants = ((lists, f"GRANT pg_monitor TO {role}"), (reads, f"GRANT EXECUTE ON FUNCTION {_READ} TO {role}"))
        missing = "; ".join(grant for allowed, grant in grants if not allowed)
        if missing:
            who = f"role {role} of connection {self.conn_id!r}"
            raise SourceFailed(f"source {self.name!r}: {who} may not read the server log; in its database: {missing}")


class _ServerFolder:
    """The server's ``log_directory``."""

    def __init__(self, name: str, connection: Connection[tuple[Any, ...]]) -> None:
        self._name, self._connection = name, connection

    def files(self) -> list[LogFile]:
        query = "SELECT name, size, extract(epoch FROM modification)::float8 FROM pg_ls_logdir()"
        listed = self._connection.execute(query)
        found = [LogFile(name, name, size, modified) for name, size, modified in listed if not name.endswith(PACKED)]
        if not found:
            raise SourceFailed(
                f"source {self._name!r}: the server's log_directory is empty; logging_collector must be on for PostgreSQL to write files"
            )
        return found

    def packed(self) -> tuple[str, ...]:
        return ()  # it would have to be unpacked in the server

    def read(self, file: LogFile, offset: int, length: int) -> bytes:
        query = "SELECT pg_read_binary_file(current_setting('log_directory') || '/' || %s, %s, %s, true)"
        row = self._connection.execute(query, (file.name, offset, length)).fetchone()
        return (row and row[0]) or b""  # NULL: rotated away since
