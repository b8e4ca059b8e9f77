"""A real PostgreSQL that logs in all its formats, and the troubles that tests make on it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from lab.engines.postgres_server import LOG_KINDS, Cluster, free_port

from airflow_oncall.capture.logs.source import Batch, Cursor, LogSource, Record
from tests.waiting import until

CONN_ID = "watched_postgres"


class World:
    """One server, its log, and the Airflow connection that leads to it."""

    def __init__(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self._monkeypatch = monkeypatch
        self.connect_as("postgres")

    def connect_as(self, role: str) -> None:
        """Let the Airflow connection sign in with this role."""
        socket = str(self.cluster.folder).replace("/", "%2F")
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", f"postgres://{role}@{socket}:{self.cluster.port}/postgres")

    @property
    def folder(self) -> Path:
        """Where the server writes its log."""
        return self.cluster.logs

    def file(self, format: str) -> Path:
        """The log of one format."""
        return self.folder / LOG_KINDS[format]

    def session(self, application: str) -> psycopg.Connection:
        """A session as an application opens it; each statement commits."""
        where = {"host": str(self.cluster.folder), "port": self.cluster.port, "dbname": "postgres", "user": "etl"}
        return psycopg.connect(**where, application_name=application, autocommit=True)  # type: ignore[arg-type]

    def logged(self) -> None:
        """Wait until all that happened so far is written, in every format."""
        mark = f"mark-{os.urandom(8).hex()}"
        self.cluster.admin.execute(f"DO $$ BEGIN RAISE LOG '{mark}'; END $$")
        until(lambda: all(mark.encode() in self.file(format).read_bytes() for format in LOG_KINDS))

    # -- troubles ----------------------------------------------------------------------------------------------------------------

    def fails(self, statement: str, application: str = "nightly_load") -> None:
        """A statement that the server refuses."""
        with self.session(application) as session, pytest.raises(psycopg.Error):
            session.execute(statement.encode())

    def deadlock(self) -> None:
        """Two transactions that each want the other's row."""
        with ExitStack() as stack:
            one, other = (stack.enter_context(self.session(name)) for name in ("orders_load", "stock_load"))
            for session, own in ((one, 1), (other, 2)):
                session.execute("BEGIN")
                session.execute("UPDATE stock SET n = 1 WHERE id = %s", (own,))
            aside = threading.Thread(target=_tries, args=(one, "UPDATE stock SET n = 2 WHERE id = 2"))
            aside.start()
            self.waits_for_lock(1)
            _tries(other, "UPDATE stock SET n = 2 WHERE id = 1")
            aside.join()

    def waits_for_lock(self, sessions: int) -> None:
        """Wait until so many sessions wait for a lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: self.cluster.admin.execute(query).fetchone() == (sessions,))

    @contextmanager
    def blocked(self, sessions: int) -> Iterator[psycopg.Connection]:
        """A transaction that holds a row for which others wait."""
        with ExitStack() as stack:
            holder = stack.enter_context(self.session("holder"))
            holder.execute("BEGIN")
            holder.execute("UPDATE stock SET n = 5 WHERE id = 1")
            waiting = [stack.enter_context(self.session(f"victim_{number}")) for number in range(sessions)]
            threads = [threading.Thread(target=_tries, args=(one, "UPDATE stock SET n = 6 WHERE id = 1")) for one in waiting]
            for thread in threads:
                thread.start()
            self.waits_for_lock(sessions)
            yield holder
            holder.execute("ROLLBACK")
            for thread in threads:
                thread.join()

    @contextmanager
    def full(self) -> Iterator[None]:
        """No connection is left for anybody but the administrator."""
        with ExitStack() as stack:
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(self.session("leaky_pool"))
            yield

    def killed_backend(self) -> None:
        """``kill -9`` of a session's process: the server ends all others and starts anew."""
        with self.session("unlucky") as session:
            os.kill(session.info.backend_pid, signal.SIGKILL)
            with suppress(psycopg.Error):
                session.execute("SELECT 1")
        self.cluster.wait_ready()


@contextmanager
def server(settings: Mapping[str, str]) -> Iterator[Cluster]:
    """A new server of the newest version at hand."""
    # A short path: its socket lies there, and socket paths end at 107 bytes. Others must pass: root's server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="oncall-pglog-", dir="/tmp"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "pg", 18, free_port(5439))
    try:
        cluster.create()
        cluster.configure(settings)
        cluster.admin.execute(
            "CREATE TABLE stock (id int PRIMARY KEY, n int); INSERT INTO stock VALUES (1, 0), (2, 0); GRANT ALL ON stock TO etl"
        )
        yield cluster
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


def polled(source: LogSource, cursor: Cursor) -> tuple[list[Record], Cursor, list[str]]:
    """Records, new cursor and problems of one poll."""
    batches: list[Batch] = list(source.read(cursor))
    records = [record for batch in batches for record in batch.records]
    return records, batches[-1].cursor if batches else cursor, [problem for batch in batches for problem in batch.problems]


def messages(records: Iterable[Record]) -> list[str]:
    """First line of each record."""
    return [record.text.partition("\n")[0] for record in records]


def _tries(session: psycopg.Connection, statement: str) -> None:
    with suppress(psycopg.Error):
        session.execute(statement.encode())
