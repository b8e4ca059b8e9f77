"""What people, reports and the policy's guards read. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Table, func, select, tuple_

from airflow_oncall.incident import (
    Action,
    ActionKind,
    Decision,
    Diagnosis,
    Incident,
    Kind,
    Occurrence,
    Outcome,
    State,
    TaskRef,
)
from airflow_oncall.store.engine import rows
from airflow_oncall.store.records import action_of, decision_of, diagnosis_of, incident_of, occurrence_of, outcome_of
from airflow_oncall.store.tables import actions, audit, decisions, diagnoses, incidents, labels, occurrences, open_only, outcomes

CLEARS = (ActionKind.CLEAR_TASK, ActionKind.CLEAR_RUN)


class Reading:
    """Read-only views of the store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def incident(self, incident_id: int) -> Incident | None:
        """One incident."""
        found = rows(self._engine, select(incidents).where(incidents.c.id == incident_id))
        return incident_of(found[0]) if found else None

    def incidents(self, states: Sequence[State] = (), dag_id: str | None = None, limit: int = 100) -> list[Incident]:
        """Newest first; all states when none is named."""
        query = select(incidents).order_by(incidents.c.id.desc()).limit(limit)
        if states:
            query = query.where(incidents.c.state.in_([str(state) for state in states]))
        if dag_id is not None:
            query = query.where(incidents.c.dag_id == dag_id)
        return [incident_of(row) for row in rows(self._engine, query)]

    def open_of_kind(self, kind: str) -> list[Incident]:
        """Open incidents of one kind."""
        return [incident_of(row) for row in rows(self._engine, select(incidents).where(open_only, incidents.c.kind == kind))]

    def runs_of_task_incidents(self, runs: Sequence[tuple[str, str]], since: datetime) -> set[tuple[str, str]]:
        """Those of some hundred runs (DAG and run id) in which a failed task instance was noticed since then."""
        named = tuple_(incidents.c.dag_id, incidents.c.run_id).in_(runs)
        recent = (incidents.c.kind == str(Kind.TASK), incidents.c.updated_at >= since)
        found = rows(self._engine, select(incidents.c.dag_id, incidents.c.run_id).where(named, *recent).distinct())
        return {(row["dag_id"], row["run_id"]) for row in found}

    def occurrences(self, incident_id: int) -> list[Occurrence]:
        """Failed tries of an incident, oldest first."""
        names = ("dag_id", "run_id", "task_id", "map_index", "kind")
        query = select(occurrences, *(incidents.c[name] for name in names)).join(incidents, incidents.c.id == occurrences.c.incident_id)
        query = query.where(occurrences.c.incident_id == incident_id).order_by(occurrences.c.try_number, occurrences.c.id)
        return [occurrence_of(row) for row in rows(self._engine, query)]

    def diagnosis(self, incident_id: int) -> Diagnosis | None:
        """The newest diagnosis."""
        row = self._newest(diagnoses, incident_id)
        return diagnosis_of(row) if row else None

    def diagnoses(self, incident_id: int) -> list[Diagnosis]:
        """All of an incident, oldest first."""
        return [diagnosis_of(row) for row in self._all(diagnoses, incident_id)]

    def decision(self, incident_id: int) -> Decision | None:
        """The newest decision."""
        row = self._newest(decisions, incident_id)
        return decision_of(row) if row else None

    def decisions(self, incident_id: int) -> list[Decision]:
        """All of an incident, oldest first."""
        return [decision_of(row) for row in self._all(decisions, incident_id)]

    def actions(self, incident_id: int) -> list[Action]:
        """All of an incident, oldest first."""
        return [action_of(row) for row in self._all(actions, incident_id)]

    def outcomes(self, incident_id: int) -> list[Outcome]:
        """All of an incident, oldest first."""
        return [outcome_of(row) for row in self._all(outcomes, incident_id)]

    def history(self, incident_id: int) -> list[dict[str, Any]]:
        """The audit rows of an incident, oldest first."""
        return [dict(row) for row in self._all(audit, incident_id)]

    def labels(self, incident_id: int) -> list[dict[str, Any]]:
        """What is known to be true of an incident, oldest first."""
        return [dict(row) for row in self._all(labels, incident_id)]

    def run_began(self, ref: TaskRef) -> datetime | None:
        """When the run began, as the decisions about it noted it; ``None`` where there was none that would have acted."""
        noted = decisions.c.basis["run_began"].as_string()
        of_run = (incidents.c.dag_id == ref.dag_id, incidents.c.run_id == ref.run_id, noted.is_not(None))
        query = select(noted.label("at")).join(incidents, incidents.c.id == decisions.c.incident_id).where(*of_run).distinct()
        return min((datetime.fromisoformat(row["at"]) for row in rows(self._engine, query)), default=None)

    def count_by(self, column: str) -> dict[str, int]:
        """Number of incidents by ``state``, ``category`` or ``kind``."""
        query = select(incidents.c[column].label("value"), func.count().label("n")).group_by(incidents.c[column])
        return {str(row["value"]): row["n"] for row in rows(self._engine, query)}

    def _newest(self, table: Table, incident_id: int) -> Any | None:
        found = rows(self._engine, select(table).where(table.c.incident_id == incident_id).order_by(table.c.id.desc()).limit(1))
        return found[0] if found else None

    def _all(self, table: Table, incident_id: int) -> Sequence[Any]:
        return rows(self._engine, select(table).where(table.c.incident_id == incident_id).order_by(table.c.id))
