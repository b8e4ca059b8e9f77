"""The registry's rows: which model files are trusted, and which of them reigns.

The champion is the version that was promoted last and not withdrawn: one column of one row, so the pointer is always valid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from airflow_oncall.errors import ChampionChanged, StoreError, TrainingSkipped, VersionTaken
from airflow_oncall.incident import ModelVersion
from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.keep import Leases
from airflow_oncall.store.records import model_of, now
from airflow_oncall.store.tables import model_versions


class SqlModelVersions:
    """``ModelVersions`` over SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._leases = Leases(engine)

    def begin_training(self, name: str, trainer: str, lasting: timedelta) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.begin_training`."""
        if not self._leases.take(_turn(name), trainer, lasting):
            holder = self._leases.holder(_turn(name)) or "somebody else"
            raise TrainingSkipped(f"{holder} is training already; train again when it is done (a dead one's turn ends within an hour)")

    def end_training(self, name: str, trainer: str) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.end_training`."""
        self._leases.release(_turn(name), trainer)

    def register(self, model: ModelVersion) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.register`."""
        row = asdict(model) | {"metrics": dict(model.metrics), "files": dict(model.files)}
        statement = upsert(self._engine, model_versions).values(row)
        same = select(model_versions.c.sha256).where(*_named(model.name, model.version))
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_nothing(index_elements=["name", "version"]))
            stored = connection.execute(same).scalar_one()
        if stored != model.sha256:
            raise VersionTaken(
                f"model {model.name} {model.version} is registered with hash {stored[:12]}.., not {model.sha256[:12]}..; use a new version"
            )

    def describe(self, name: str, version: str, metrics: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.describe`."""
        query = select(model_versions.c.metrics, model_versions.c.files).where(*_named(name, version)).with_for_update()
        with transaction(self._engine) as connection:
            row = connection.execute(query).first()
            if row is None:
                raise _unknown(name, version)
            # What is registered stays: a hash is never replaced by that of another file.
            values = {"metrics": {**row.metrics, **metrics}, "files": {**files, **row.files}}
            connection.execute(update(model_versions).where(*_named(name, version)).values(values))

    def promote(self, name: str, version: str, *, actor: str = "learn", reason: str = "", instead_of: str | None = None) -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.promote`."""
        with transaction(self._engine) as connection:
            rows = _locked(connection, name)
            reigning = _champion(rows)
            if version not in {row.version for row in rows}:
                raise _unknown(name, version)
            if instead_of is not None and reigning != instead_of:
                measured = f"model {name} {version} was measured against {instead_of or 'no champion'}"
                raise ChampionChanged(f"{measured}, now {reigning or 'none'} reigns; train again")
            values = {"promoted_at": _after(rows), "withdrawn_at": None}
            connection.execute(update(model_versions).where(*_named(name, version)).values(values))
            _audit(connection, actor, "promoted", name, version, reason)

    def withdraw(self, name: str, version: str, *, actor: str = "learn", reason: str = "") -> None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.withdraw`."""
        with transaction(self._engine) as connection:
            rows = _locked(connection, name)
            if _champion(rows) != version:
                raise ChampionChanged(f"model {name} {version} does not reign, {_champion(rows) or 'none'} does; nothing is rolled back")
            connection.execute(update(model_versions).where(*_named(name, version)).values(withdrawn_at=now()))
            _audit(connection, actor, "rolled back", name, version, reason)

    def champions(self, name: str) -> Sequence[ModelVersion]:
        """See :meth:`airflow_oncall.store.base.ModelVersions.champions`."""
        found = [model for model in self.list(name) if model.promoted_at and not model.withdrawn_at]
        return sorted(found, key=lambda model: model.promoted_at or model.trained_at, reverse=True)

    def list(self, name: str | None = None) -> Sequence[ModelVersion]:
        """See :meth:`airflow_oncall.store.base.ModelVersions.list`."""
        query = select(model_versions).order_by(model_versions.c.id.desc())
        if name is not None:
            query = query.where(model_versions.c.name == name)
        with transaction(self._engine, reading=True) as connection:
            return [model_of(row) for row in connection.execute(query).mappings()]

    def get(self, name: str, version: str) -> ModelVersion | None:
        """See :meth:`airflow_oncall.store.base.ModelVersions.get`."""
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(select(model_versions).where(*_named(name, version))).mappings().first()
        return model_of(row) if row else None


def _turn(name: str) -> str:
    return f"training {name}"


def _named(name: str, version: str) -> tuple[Any, Any]:
    return model_versions.c.name == name, model_versions.c.version == version


def _unknown(name: str, version: str) -> StoreError:
    return StoreError(f"model {name} {version!r} is not registered; `airflow oncall models list` shows what is")


def _locked(connection: Connection, name: str) -> list[Any]:
    """The versions of a model, kept from others who promote, the newest promotion first."""
    columns = (model_versions.c.version, model_versions.c.promoted_at, model_versions.c.withdrawn_at)
    query = select(*columns).where(model_versions.c.name == name).order_by(model_versions.c.promoted_at.desc())
    return list(connection.execute(query.with_for_update()))


def _champion(rows: list[Any]) -> str:
    return next((row.version for row in rows if row.promoted_at and not row.withdrawn_at), "")


def _after(rows: list[Any]) -> datetime:
    """Now, and later than every promotion so far, whatever the clock of another machine said."""
    times: list[datetime] = [row.promoted_at + timedelta(microseconds=1) for row in rows if row.promoted_at]
    return max([now(), *times])


def _audit(connection: Connection, actor: str, what: str, name: str, version: str, reason: str) -> None:
    note(connection, actor, what, {"model": name, "version": version, "reason": reason})
