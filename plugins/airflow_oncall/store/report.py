"""One line an incident, as ``demo-report.json`` and ``airflow oncall report --format json`` give it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Table, func, select

from airflow_oncall.incident import Action, ActionState, Decision, Diagnosis, Incident, Outcome
from airflow_oncall.store.bars import Bars
from airflow_oncall.store.engine import one_look, transaction
from airflow_oncall.store.reading import CLEARS, Reading
from airflow_oncall.store.records import action_of, decision_of, diagnosis_of, now, outcome_of
from airflow_oncall.store.tables import actions, audit, decisions, diagnoses, occurrences, outcomes

AT_ONCE = 500


class Report:
    """Incidents with their last decision, action and outcome, and how long each step took."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._reading, self._bars = engine, Reading(engine), Bars(engine)

    def incidents(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Newest first, with the fields of DESIGN section 9, plus ``id``, ``kind`` and ``state``. Times are seconds since the failure."""
        lines: list[dict[str, Any]] = []
        with one_look(self._engine):
            found = self._reading.incidents(limit=limit)
            for start in range(0, len(found), AT_ONCE):
                lines += self._lines(found[start : start + AT_ONCE])
        return lines

    def _lines(self, found: Sequence[Incident]) -> list[dict[str, Any]]:
        ids = [incident.id for incident in found]
        failed = self._first(occurrences.c.happened_at, ids)
        decided = self._first(audit.c.at, ids, audit.c.what.startswith("decided"))
        rows = {table: self._rows(table, ids) for table in (diagnoses, decisions, actions, outcomes)}
        return [
            _line(
                incident,
                failed.get(incident.id, incident.opened_at),
                decided.get(incident.id),
                [diagnosis_of(row) for row in rows[diagnoses].get(incident.id, [])],
                [decision_of(row) for row in rows[decisions].get(incident.id, [])],
                [action_of(row) for row in rows[actions].get(incident.id, [])],
                [outcome_of(row) for row in rows[outcomes].get(incident.id, [])],
            )
            for incident in found
        ]

    def _first(self, moment: Any, ids: Sequence[int], *which: Any) -> dict[int, datetime]:
        of_incident = moment.table.c.incident_id
        query = select(of_incident, func.min(moment)).where(of_incident.in_(ids), *which).group_by(of_incident)
        with transaction(self._engine, reading=True) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _rows(self, table: Table, ids: Sequence[int]) -> dict[int, list[Any]]:
        """The rows of each incident, oldest first."""
        found: dict[int, list[Any]] = {}
        with transaction(self._engine, reading=True) as connection:
            for row in connection.execute(select(table).where(table.c.incident_id.in_(ids)).order_by(table.c.id)).mappings():
                found.setdefault(row["incident_id"], []).append(row)
        return found

    def summary(self, limit: int = 1000) -> dict[str, Any]:
        """The whole report: counts, bars that outcomes moved, and incidents."""
        return {
            "made_at": now().isoformat(),
            "by_state": self._reading.count_by("state"),
            "by_category": self._reading.count_by("category"),
            "bars": [asdict(bar) | {"changed_at": bar.changed_at.isoformat()} for bar in self._bars.all()],
            "incidents": self.incidents(limit),
        }


def _line(
    incident: Incident,
    failed_at: datetime,
    decided_at: datetime | None,
    thought: Sequence[Diagnosis],
    decided: Sequence[Decision],
    acted: Sequence[Action],
    ended: Sequence[Outcome],
) -> dict[str, Any]:
    diagnosis = thought[-1] if thought else None
    clears = [action for action in acted if action.kind in CLEARS and action.state is ActionState.DONE]
    return {
        "id": incident.id,
        "kind": str(incident.kind),
        "dag_id": incident.ref.dag_id,
        "run_id": incident.ref.run_id,
        "task_id": incident.ref.task_id,
        "map_index": incident.ref.map_index,
        "try_number": incident.try_number,
        "state": str(incident.state),
        "category": diagnosis.category if diagnosis else None,
        "confidence": round(diagnosis.probability, 4) if diagnosis else None,
        "decision": str(decided[-1].verdict) if decided else None,
        "action": str((clears or acted)[-1].kind) if acted else None,
        "outcome": str(ended[-1].kind) if ended else None,
        "reason": incident.detail if not decided else " ".join(decided[-1].reasons),
        "seconds_to_decision": _seconds(failed_at, decided_at),
        "seconds_to_action": _seconds(failed_at, clears[0].done_at if clears else None),
        "seconds_to_outcome": _seconds(failed_at, incident.closed_at or (ended[-1].seen_at if ended else None)),
    }


def _seconds(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else round((until - since).total_seconds(), 3)
