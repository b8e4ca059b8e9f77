"""Bring the store's tables up to date, safely also when several processes try at once or one is killed midway."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from airflow_oncall.errors import SchemaNewer, SchemaOutdated, StoreUnavailable
from airflow_oncall.store.engine import shown, transaction
from airflow_oncall.store.tables import VERSION_TABLE

HEAD = "0010"
"""Newest revision in ``migrations/versions`` (a test compares), so that a look at the schema needs no Alembic."""
NEWER_CODE = "install the version of airflow-oncall that upgraded it, or a newer one, on every host"
_LOCK = 0x0C_A11  # key of PostgreSQL's advisory lock


def current_revision(engine: Engine) -> str | None:
    """Revision the store is at, ``None`` before the first migration."""
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return None  # asking would create an empty file
    try:
        with transaction(engine, reading=True) as connection:
            return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    except SchemaOutdated:
        return None


def is_newer(revision: str) -> bool:
    """Whether newer code made the tables: revisions are numbered, with leading zeros."""
    return revision > HEAD


def upgrade(engine: Engine) -> str:
    """Migrate to :data:`HEAD` in one transaction and return it. The second of two racing processes finds nothing to do.

    Raises ``SchemaNewer``, and changes nothing, where newer code migrated before.
    """
    if engine.dialect.name == "sqlite":
        _prepare_file(engine)
    with transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _run_alembic(connection)
    return HEAD


def _prepare_file(engine: Engine) -> None:
    # WAL lets readers and one writer work at once; it is a property of the file and cannot be set inside a transaction.
    try:
        Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA journal_mode = WAL")
    except (OSError, sqlite3.Error, DBAPIError) as error:
        raise StoreUnavailable(f"incident store {shown(engine.url)} cannot be made: {error}") from error


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if found and is_newer(found):
        raise SchemaNewer(
            f"incident store {shown(connection.engine.url)} is at revision {found}, this code knows {HEAD} at most; {NEWER_CODE}"
        )
    command.upgrade(config, "head")
