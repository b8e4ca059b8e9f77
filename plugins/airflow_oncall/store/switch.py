"""The kill switch as the store keeps it: who paused all repairs, and why."""

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
class Pause:
    """That nothing is to be repaired."""

    by: str
    reason: str
    at: datetime


class Switch:
    """Read before every act, so that it works within the tick that runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self) -> Pause | None:
        """Who paused them; ``None`` while repairs go on."""
        with transaction(self._engine, reading=True) as connection:
            value = connection.execute(select(cursors.c.value).where(cursors.c.name == CURSOR)).scalar()
        return Pause(value["by"], value["reason"], datetime.fromisoformat(value["at"])) if value else None

    def pause(self, by: str, reason: str) -> Pause:
        """Pause all repairs; paused again, the newest word counts."""
        made = Pause(by, reason, now())
        value = {"by": by, "reason": reason, "at": made.at.isoformat()}
        row = upsert(self._engine, cursors).values(name=CURSOR, value=value, updated_at=made.at)
        fresh = {"value": row.excluded.value, "updated_at": row.excluded.updated_at}
        with transaction(self._engine) as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=fresh))
            note(connection, by, "paused", {"reason": reason}, at=made.at)
        return made

    def resume(self, by: str) -> Pause | None:
        """Let repairs go on; what had paused them, ``None`` when nothing had."""
        paused = self.get()
        if paused is None:
            return None
        with transaction(self._engine) as connection:
            connection.execute(delete(cursors).where(cursors.c.name == CURSOR))
            note(connection, by, "resumed", {"reason": paused.reason, "paused_by": paused.by})
        return paused
