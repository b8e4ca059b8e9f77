"""One line an incident, as ``demo-report.json`` and ``airflow oncall report --format json`` give it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from airflow_oncall.incident import ActionState, Incident
from airflow_oncall.store.bars import Bars
from airflow_oncall.store.reading import CLEARS, Reading
from airflow_oncall.store.records import now


class Report:
    """Incidents with their last decision, action and outcome, and how long each step took."""

    def __init__(self, engine: Engine) -> None:
        self._reading, self._bars = Reading(engine), Bars(engine)

    def incidents(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Newest first."""
        return [self.incident(incident) for incident in self._reading.incidents(limit=limit)]

    def incident(self, incident: Incident) -> dict[str, Any]:
        """The fields of DESIGN section 9, plus ``id``, ``kind`` and ``state``. Times are seconds since the failure."""
        read = self._reading
        failed_at = min((seen.happened_at for seen in read.occurrences(incident.id)), default=incident.opened_at)
        decisions, actions, outcomes = read.decisions(incident.id), read.actions(incident.id), read.outcomes(incident.id)
        diagnosis = read.diagnosis(incident.id)
        first_decision = next((row["at"] for row in read.history(incident.id) if row["what"].startswith("decided")), None)
        clears = [action for action in actions if action.kind in CLEARS and action.state is ActionState.DONE]
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
            "decision": str(decisions[-1].verdict) if decisions else None,
            "action": str((clears or actions)[-1].kind) if actions else None,
            "outcome": str(outcomes[-1].kind) if outcomes else None,
            "reason": incident.detail if not decisions else " ".join(decisions[-1].reasons),
            "seconds_to_decision": _seconds(failed_at, first_decision),
            "seconds_to_action": _seconds(failed_at, clears[0].done_at if clears else None),
            "seconds_to_outcome": _seconds(failed_at, incident.closed_at or (outcomes[-1].seen_at if outcomes else None)),
        }

    def summary(self, limit: int = 1000) -> dict[str, Any]:
        """The whole report: counts, bars that outcomes moved, and incidents."""
        return {
            "made_at": now().isoformat(),
            "by_state": self._reading.count_by("state"),
            "by_category": self._reading.count_by("category"),
            "bars": [asdict(bar) | {"changed_at": bar.changed_at.isoformat()} for bar in self._bars.all()],
            "incidents": self.incidents(limit),
        }


def _seconds(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else round((until - since).total_seconds(), 3)
