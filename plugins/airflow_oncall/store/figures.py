"""Figures over many incidents, one query each: counts by day, times to repair, how actions ended, how true probabilities were.

As :mod:`airflow_oncall.store.browse`, none of them counts what its reader may not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, Integer, String, and_, case, cast, extract, func, select

from airflow_oncall.incident import ActionState, State, Verdict
from airflow_oncall.store.browse import Sight, visible
from airflow_oncall.store.engine import transaction
from airflow_oncall.store.outcomes import ENDED, SUCCESS
from airflow_oncall.store.tables import actions, decisions, incidents, occurrences, outcomes

BINS = 10


class Opened(NamedTuple):
    """Incidents opened on one day that have all this in common."""

    day: str
    state: str
    category: str
    source: str
    severity: str
    number: int


class Closed(NamedTuple):
    """Incidents closed on one day in one state."""

    day: str
    state: str
    number: int
    minutes: float
    """From the failure noticed to the success seen, of all resolved ones together."""


class Told(NamedTuple):
    """Decisions of one day that leave it to people."""

    day: str
    number: int
    tries: int
    """That clearing once would have run, of first decisions."""


class Tried(NamedTuple):
    """Actions of one kind, of which about the same was expected, and whose end was seen."""

    action: str
    bin: int
    """Which tenth of the probabilities."""
    successes: int
    number: int
    expected: float
    """Sum of the probabilities that the decisions gave."""
    resolved: int
    """Incidents that they resolved."""
    minutes: float
    """That these took."""


@dataclass(frozen=True)
class Scope:
    """What is counted."""

    sight: Sight
    since: datetime
    dag_id: str | None = None


class Figures:
    """Figures of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def opened(self, scope: Scope) -> list[Opened]:
        """Incidents opened since then, by day, state, category, source and severity."""
        category = func.coalesce(incidents.c.category, "")
        by = (self._day(incidents.c.opened_at), incidents.c.state, category, incidents.c.source, incidents.c.severity)
        query = select(*by, func.count()).where(incidents.c.opened_at >= scope.since, *self._scope(scope)).group_by(*by)
        return [Opened(*row) for row in self._rows(query)]

    def closed(self, scope: Scope) -> list[Closed]:
        """Incidents closed since then, by day and state."""
        by = (self._day(incidents.c.closed_at), incidents.c.state)
        query = select(*by, func.count(), self._minutes()).where(incidents.c.closed_at >= scope.since, *self._scope(scope))
        return [Closed(*row) for row in self._rows(query.group_by(*by))]

    def told(self, scope: Scope) -> list[Told]:
        """Decisions made since then that leave it to people, by day."""
        day = self._day(decisions.c.made_at)
        tries = func.sum(case((decisions.c.number == 1, func.coalesce(occurrences.c.max_tries, 0) + 1), else_=0))
        answered = and_(occurrences.c.incident_id == incidents.c.id, occurrences.c.try_number == decisions.c.answers_try)
        query = select(day, func.count(), tries).select_from(decisions).join(incidents, incidents.c.id == decisions.c.incident_id)
        left = (decisions.c.made_at >= scope.since, decisions.c.verdict == str(Verdict.ESCALATE))
        return [Told(*row) for row in self._rows(query.outerjoin(occurrences, answered).where(*left, *self._scope(scope)).group_by(day))]

    def open(self, scope: Scope) -> int:
        """Incidents that are open now, however old."""
        query = select(func.count()).select_from(incidents).where(incidents.c.closed_at.is_(None), *self._scope(scope))
        return int(self._rows(query)[0][0])

    def tried(self, scope: Scope) -> list[Tried]:
        """Actions done since then whose end was seen, by kind and expectation."""
        by = (actions.c.kind, self._bin(decisions.c.probability))
        counted = (func.count().filter(outcomes.c.kind == SUCCESS), func.count(), func.sum(decisions.c.probability))
        resolved = func.count().filter(incidents.c.state == str(State.RESOLVED), outcomes.c.kind == SUCCESS)
        minutes = self._minutes(outcomes.c.kind == SUCCESS)
        mine = and_(decisions.c.incident_id == actions.c.incident_id, decisions.c.number == actions.c.decision_number)
        query = select(*by, *counted, resolved, minutes).join(outcomes, outcomes.c.action_id == actions.c.id)
        query = query.join(incidents, incidents.c.id == actions.c.incident_id).join(decisions, mine)
        done = (actions.c.done_at >= scope.since, actions.c.state == str(ActionState.DONE), outcomes.c.kind.in_(ENDED))
        return [Tried(*row) for row in self._rows(query.where(*done, *self._scope(scope)).group_by(*by).order_by(*by))]

    def _scope(self, scope: Scope) -> list[ColumnElement[bool]]:
        of_dag = [] if scope.dag_id is None else [incidents.c.dag_id == scope.dag_id]
        return [*of_dag, visible(self._engine, scope.sight)]

    def _day(self, column: Any) -> ColumnElement[str]:
        """The day in UTC."""
        if self._is_postgres:
            return func.to_char(func.timezone("UTC", column), "YYYY-MM-DD")
        return func.substr(cast(column, String), 1, 10)

    def _bin(self, probability: Any) -> ColumnElement[Any]:
        scaled: Any = probability * BINS  # PostgreSQL's cast rounds, SQLite's cuts off and is all it has
        return case((probability >= 1, BINS - 1), else_=func.floor(scaled) if self._is_postgres else cast(scaled, Integer))

    def _minutes(self, *which: ColumnElement[bool]) -> ColumnElement[Any]:
        """Minutes that resolved incidents took, of all together."""
        if self._is_postgres:
            took: Any = extract("epoch", incidents.c.closed_at - incidents.c.opened_at) / 60
        else:
            took = (func.julianday(incidents.c.closed_at) - func.julianday(incidents.c.opened_at)) * 24 * 60
        return func.coalesce(func.sum(took).filter(incidents.c.state == str(State.RESOLVED), *which), 0.0)

    @property
    def _is_postgres(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def _rows(self, query: Any) -> Sequence[Any]:
        with transaction(self._engine, reading=True) as connection:
            return connection.execute(query).all()
