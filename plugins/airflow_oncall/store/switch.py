"""The kill switch as the store keeps it: who stopped all repairs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select

from airflow_oncall.store.audit import note
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import now
from airflow_oncall.store.tables import cursors

CURSOR = "kill_switch"


@dataclass(frozen=True)
class Stop:
    """That nothing is to be repaired."""

    by: str
    reason: str
    at: datetime


class Switch:
    """Read before every act, so that it works within the tick that runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self) -> Stop | None:
        """Who stopped it; ``None`` while repairs go on."""
        with transaction(self._engine, reading=True) as connection:
            value = connection.execute(select(cursors.c.value).where(cursors.c.name == CURSOR)).scalar()
        return Stop(value["by"], value["reason"], datetime.fromisoformat(value["at"])) if value else None

    def stop(self, by: str, reason: str) -> Stop:
        """Stop all repairs; stopped again, the newest word counts."""
        made = Stop(by, reason, now())
        value = {"by": by, "reason": reason, "at": made.at.isoformat()}
        row = upsert(self._engine, cursors).values(name=CURSOR, value=value, updated_at=made.at)
        fresh = {"value": row.excluded.value, "updated_at": row.excluded.updated_at}
        with transaction(self._engine) as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=fresh))
            note(connection, by, "paused", {"reason": reason}, at=made.at)
        return made

    def release(self, by: str) -> Stop | None:
        """Let repairs go on; what had stopped them, ``None`` when nothing had."""
        stopped = self.get()
        if stopped is None:
            return None
        with transaction(self._engine) as connection:
            connection.execute(delete(cursors).where(cursors.c.name == CURSOR))
            note(connection, by, "resumed", {"reason": stopped.reason, "paused_by": stopped.by})
        return stopped
