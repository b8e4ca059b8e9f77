"""Small things that must outlive a process: cursors, the last good data files, leases."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, delete, or_, select

from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import cursors, good_files, leases


class Cursors:
    """How far a source was read. Values are JSON."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> Any | None:
        """The stored position, ``None`` at first."""
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar()

    def set(self, name: str, value: Any) -> None:
        """Store a position."""
        statement = upsert(self._engine, cursors).values(name=name, value=value, updated_at=now())
        fresh = {"value": statement.excluded.value, "updated_at": statement.excluded.updated_at}
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=fresh))


class GoodFiles:
    """The last good text of every data file that operators edit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, name: str) -> str | None:
        """The last text of this name that was valid."""
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(select(good_files.c.body).where(good_files.c.name == name)).scalar()

    def set(self, name: str, body: str) -> None:
        """Remember a text that was just found valid; unchanged ones are not written again."""
        sha256 = hashlib.sha256(body.encode()).hexdigest()
        statement = upsert(self._engine, good_files).values(name=name, sha256=sha256, body=body, read_at=now())
        fresh = {column: statement.excluded[column] for column in ("sha256", "body", "read_at")}
        changed = good_files.c.sha256 != statement.excluded.sha256
        with transaction(self._engine) as connection:
            upserted = statement.on_conflict_do_update(index_elements=["name"], set_=fresh, where=changed)
            if connection.execute(upserted.returning(good_files.c.id)).first():
                note(connection, "operator", "file in force", {"name": name, "sha256": sha256})


class Leases:
    """What only one may do at a time. A lease ends by itself, so that a dead holder frees it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(self, name: str, holder: str, lasting: timedelta) -> bool:
        """Take or renew a lease; ``False`` while somebody else holds it."""
        statement = upsert(self._engine, leases).values(name=name, holder=holder, held_until=now() + lasting)
        fresh = {column: statement.excluded[column] for column in ("holder", "held_until")}
        free = or_(leases.c.held_until < now(), leases.c.holder == holder)
        taken = statement.on_conflict_do_update(index_elements=["name"], set_=fresh, where=free).returning(leases.c.id)
        with transaction(self._engine) as connection:
            return connection.execute(taken).first() is not None

    def holder(self, name: str) -> str | None:
        """Who holds it now."""
        query = select(leases.c.holder).where(leases.c.name == name, leases.c.held_until >= now())
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).scalar()

    def release(self, name: str, holder: str) -> None:
        """Give a lease back; somebody else's is left alone."""
        with transaction(self._engine) as connection:
            connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))
