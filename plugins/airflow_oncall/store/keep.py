"""Small things that must outlive a process: cursors, the last good data files, the trusted models, free audit rows."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine, insert, select, update

from airflow_oncall.errors import StoreError
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import model_of, now
from airflow_oncall.store.tables import audit, cursors, good_files, model_versions


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
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=fresh, where=changed))


class SqlModelVersions:
    """``ModelVersions`` over SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, model: ModelVersion) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.register`."""
        row = asdict(model) | {"metrics": dict(model.metrics)}
        statement = upsert(self._engine, model_versions).values(row)
        same = select(model_versions.c.sha256).where(model_versions.c.name == model.name, model_versions.c.version == model.version)
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_nothing(index_elements=["name", "version"]))
            stored = connection.execute(same).scalar_one()
        if stored != model.sha256:
            raise StoreError(f"model {model.name} {model.version} is registered with hash {stored}, not {model.sha256}; use a new version")

    def promote(self, name: str, version: str) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.promote`."""
        which = (model_versions.c.name == name, model_versions.c.version == version)
        with transaction(self._engine) as connection:
            if not connection.execute(update(model_versions).where(*which).values(promoted_at=now())).rowcount:
                raise StoreError(f"model {name} {version!r} is not registered; register it before it is promoted")
            connection.execute(insert(audit).values(at=now(), actor="learn", what="promoted", detail={"model": name, "version": version}))

    def champions(self, name: str) -> list[ModelVersion]:
        """See :meth:`airflow_oncall.store.base.ModelVersions.champions`."""
        promoted = (model_versions.c.name == name, model_versions.c.promoted_at.is_not(None))
        query = select(model_versions).where(*promoted).order_by(model_versions.c.promoted_at.desc(), model_versions.c.id.desc())
        with transaction(self._engine, reading=True) as connection:
            return [model_of(row) for row in connection.execute(query).mappings()]
