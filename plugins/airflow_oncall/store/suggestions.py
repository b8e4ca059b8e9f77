"""What a language model suggested about failures that the ladder does not know, one row a fingerprint.

No decision and no training reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, exists, func, or_, select

from airflow_oncall.incident import UNKNOWN, Incident, State
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import incident_of, now
from airflow_oncall.store.tables import incidents, open_only, suggestions

AGAIN = timedelta(days=1)
"""A question that failed is asked again after this time."""
WITH_PEOPLE = (str(State.ASKED), str(State.ESCALATED), str(State.OBSERVED))


@dataclass(frozen=True)
class Suggested:
    """The answer about one fingerprint, or why there is none."""

    fingerprint: str
    category: str
    explanation: str
    steps: Sequence[str]
    model: str
    problem: str
    asked_at: datetime


class Suggestions:
    """Kept by fingerprint, so that a failure is asked about once however often it comes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, fingerprint: str) -> Suggested | None:
        """What was suggested; ``None`` where nothing was."""
        query = select(suggestions).where(suggestions.c.fingerprint == fingerprint, suggestions.c.problem == "")
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(query).mappings().first()
        return Suggested(**{name: row[name] for name in Suggested.__dataclass_fields__}) if row else None

    def put(self, suggested: Suggested) -> None:
        """Keep an answer, in place of an earlier one."""
        row = {name: getattr(suggested, name) for name in Suggested.__dataclass_fields__} | {"steps": list(suggested.steps)}
        statement = upsert(self._engine, suggestions).values(row)
        fresh = {name: statement.excluded[name] for name in row if name != "fingerprint"}
        with transaction(self._engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=fresh))

    def asked_since(self, since: datetime) -> int:
        """How many questions were asked."""
        query = select(func.count()).select_from(suggestions).where(suggestions.c.asked_at >= since)
        with transaction(self._engine, reading=True) as connection:
            return int(connection.execute(query).scalar_one())

    def wanting(self, limit: int) -> list[Incident]:
        """Open incidents that are a person's, with an unknown cause or given up, about which nothing was asked; the newest first."""
        asked = exists().where(
            suggestions.c.fingerprint == incidents.c.fingerprint, or_(suggestions.c.problem == "", suggestions.c.asked_at > now() - AGAIN)
        )
        unknown = or_(incidents.c.category == UNKNOWN, incidents.c.state == str(State.ESCALATED))
        which = (open_only, incidents.c.state.in_(WITH_PEOPLE), incidents.c.fingerprint != "", unknown, ~asked)
        query = select(incidents).where(*which).order_by(incidents.c.id.desc()).limit(limit)
        with transaction(self._engine, reading=True) as connection:
            return [incident_of(row) for row in connection.execute(query).mappings()]
