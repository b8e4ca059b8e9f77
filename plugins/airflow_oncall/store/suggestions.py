"""What a language model suggested about failures that the ladder does not know, one row a fingerprint.

No decision and no training reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, and_, exists, func, or_, select, text

from airflow_oncall.incident import UNKNOWN, Incident, State, Verdict
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.intake import upsert
from airflow_oncall.store.records import incident_of, now
from airflow_oncall.store.tables import decisions, incidents, open_only, suggestions

AGAIN = timedelta(days=1)
"""A question without an answer is asked again after this time; so long each one counts."""
UNANSWERED = "no answer yet"
"""The problem of a question from before it is asked until it is answered; for a day, where its asker was killed."""
_LOCK = 5_126_917_303_114_023
"""Number of the lock under which questions are counted on PostgreSQL; SQLite has one writer anyway."""
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

    def ask(self, fingerprint: str, most: int) -> bool:
        """Take one of a day's ``most`` questions for this fingerprint. Whoever may ask does it after this, so that each counts, also
        when its asker is killed. ``False``: none is left, or somebody asked already.
        """
        since = now() - AGAIN
        row = _row(Suggested(fingerprint, UNKNOWN, "", (), "", UNANSWERED, now()))
        unanswered = and_(suggestions.c.problem != "", suggestions.c.asked_at <= since)
        with transaction(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            if _asked(connection, since) >= most:
                return False
            statement = upsert(self._engine, suggestions).values(row)
            taken = statement.on_conflict_do_update(index_elements=["fingerprint"], set_=row, where=unanswered)
            return connection.execute(taken.returning(suggestions.c.id)).first() is not None

    def put(self, suggested: Suggested) -> None:
        """Keep an answer, in place of an earlier one."""
        row = _row(suggested)
        with transaction(self._engine) as connection:
            statement = upsert(self._engine, suggestions).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=row))

    def asked_since(self, since: datetime) -> int:
        """How many questions were asked."""
        with transaction(self._engine, reading=True) as connection:
            return _asked(connection, since)

    def wanting(self) -> Incident | None:
        """The newest open incident that is a person's, about which nothing was asked, and whose cause is unknown or whose newest
        decision left it to people because the chance of a repair was below the bar of asking.
        """
        asked = exists().where(
            suggestions.c.fingerprint == incidents.c.fingerprint, or_(suggestions.c.problem == "", suggestions.c.asked_at > now() - AGAIN)
        )
        hopeless = exists().where(
            decisions.c.incident_id == incidents.c.id,
            decisions.c.number == incidents.c.decisions,
            decisions.c.verdict == str(Verdict.ESCALATE),
            decisions.c.probability < decisions.c.basis["ask"].as_float(),
        )
        which = (open_only, incidents.c.state.in_(WITH_PEOPLE), incidents.c.fingerprint != "", ~asked)
        query = select(incidents).where(*which, or_(incidents.c.category == UNKNOWN, hopeless)).order_by(incidents.c.id.desc()).limit(1)
        with transaction(self._engine, reading=True) as connection:
            row = connection.execute(query).mappings().first()
        return incident_of(row) if row else None


def _row(suggested: Suggested) -> dict[str, Any]:
    return {name: getattr(suggested, name) for name in Suggested.__dataclass_fields__} | {"steps": list(suggested.steps)}


def _asked(connection: Connection, since: datetime) -> int:
    query = select(func.count()).select_from(suggestions).where(suggestions.c.asked_at >= since)
    return int(connection.execute(query).scalar_one())
