"""Rows to nouns and back: the one place that knows both."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import RowMapping

from airflow_oncall.incident import (
    Action,
    ActionState,
    Correlation,
    Decision,
    Diagnosis,
    Evidence,
    Incident,
    Kind,
    LogEvent,
    ModelVersion,
    Occurrence,
    Outcome,
    OutcomeKind,
    State,
    Storm,
    StormState,
    TaskRef,
    Verdict,
)


class Clock:
    """Whose time the store goes by; a simulation puts its own in place of the computer's."""

    @staticmethod
    def read() -> datetime:
        """Current time, UTC."""
        return datetime.now(timezone.utc)


clock = Clock()


def now() -> datetime:
    """Current time, UTC."""
    return clock.read()


def digest(key: str) -> str:
    """A key of any length and alphabet as one of fixed size, which every database can index."""
    return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()


def ref_of(row: RowMapping) -> TaskRef:
    """The four columns that name a task instance."""
    return TaskRef(row["dag_id"], row["run_id"], row["task_id"], row["map_index"])


def incident_of(row: RowMapping) -> Incident:
    """A row of ``incidents``."""
    return Incident(
        id=row["id"],
        kind=Kind(row["kind"]),
        ref=ref_of(row),
        state=State(row["state"]),
        fingerprint=row["fingerprint"],
        try_number=row["try_number"],
        opened_at=row["opened_at"],
        updated_at=row["updated_at"],
        due_at=row["due_at"],
        looks=row["looks"],
        decisions=row["decisions"],
        closed_at=row["closed_at"],
        category=row["category"],
        detail=row["detail"],
        storm_id=row["storm_id"],
        source=row["source"],
        severity=row["severity"],
    )


def occurrence_of(row: RowMapping) -> Occurrence:
    """A row of ``occurrences`` joined with its incident's names."""
    evidence = {name: row[name] for name in ("message", "traceback", "operator", "hostname", "duration", "max_tries", "log_tail")}
    return Occurrence(
        ref=ref_of(row),
        seen_by=row["seen_by"],
        happened_at=row["happened_at"],
        try_number=row["try_number"],
        kind=Kind(row["kind"]),
        will_retry=row["will_retry"],
        by_hand=row["by_hand"],
        fingerprint=row["fingerprint"],
        evidence=Evidence(exception_chain=tuple(row["exception_chain"]), **evidence),
    )


def occurrence_values(occurrence: Occurrence) -> dict[str, Any]:
    """Columns of ``occurrences`` but for the incident."""
    return {
        **asdict(occurrence.evidence),
        "exception_chain": list(occurrence.evidence.exception_chain),
        "key": digest(occurrence.key),
        "try_number": occurrence.try_number,
        "seen_by": occurrence.seen_by,
        "seen_at": now(),
        "happened_at": occurrence.happened_at,
        "will_retry": occurrence.will_retry,
        "by_hand": occurrence.by_hand,
        "fingerprint": occurrence.fingerprint,
    }


def diagnosis_of(row: RowMapping) -> Diagnosis:
    """A row of ``diagnoses``."""
    names = ("category", "probability", "transient", "transient_probability", "anomaly", "identifiers", "decided_by", "model_version")
    alternatives = row["alternatives"]
    return Diagnosis(evidence=tuple(row["evidence"]), alternatives=alternatives, **{name: row[name] for name in names})


def diagnosis_values(diagnosis: Diagnosis) -> dict[str, Any]:
    """Columns of ``diagnoses`` but for incident, try and time."""
    plain = {"identifiers": dict(diagnosis.identifiers), "alternatives": dict(diagnosis.alternatives)}
    return {**asdict(diagnosis), **plain, "evidence": list(diagnosis.evidence)}


def decision_values(decision: Decision) -> dict[str, Any]:
    """Columns of ``decisions`` but for its time."""
    names = ("incident_id", "number", "answers_try", "probability", "wait_seconds", "mode", "arm")
    return {
        **{name: getattr(decision, name) for name in names},
        "verdict": str(decision.verdict),
        "action": str(decision.action) if decision.action else None,
        "reasons": list(decision.reasons),
        "parameters": dict(decision.parameters),
        "basis": dict(decision.basis),
    }


def decision_of(row: RowMapping) -> Decision:
    """A row of ``decisions``."""
    return Decision(
        id=row["id"],
        incident_id=row["incident_id"],
        number=row["number"],
        verdict=Verdict(row["verdict"]),
        action=row["action"],
        answers_try=row["answers_try"],
        probability=row["probability"],
        reasons=tuple(row["reasons"]),
        wait_seconds=row["wait_seconds"],
        mode=row["mode"],
        parameters=row["parameters"],
        basis=row["basis"],
        arm=row["arm"],
    )


def action_of(row: RowMapping) -> Action:
    """A row of ``actions``."""
    return Action(
        id=row["id"],
        incident_id=row["incident_id"],
        decision_number=row["decision_number"],
        kind=row["kind"],
        ref=ref_of(row),
        answers_try=row["answers_try"],
        state=ActionState(row["state"]),
        planned_at=row["planned_at"],
        done_at=row["done_at"],
        attempts=row["attempts"],
        detail=row["detail"],
        approved_by=row["approved_by"],
        category=row["category"],
        parameters=row["parameters"],
    )


def outcome_of(row: RowMapping) -> Outcome:
    """A row of ``outcomes``."""
    names = ("incident_id", "seen_at", "try_number", "action_id", "detail", "ended_at")
    return Outcome(kind=OutcomeKind(row["kind"]), **{name: row[name] for name in names})


def storm_of(row: RowMapping) -> Storm:
    """A row of ``storms`` with the numbers of its members."""
    names = ("id", "cause", "category", "opened_at", "due_at", "members", "held", "probe_id", "probes", "wave", "since", "answer")
    more = ("answered_by", "detail", "closed_at")
    return Storm(state=StormState(row["state"]), **{name: row[name] for name in names + more})


def model_of(row: RowMapping) -> ModelVersion:
    """A row of ``model_versions``."""
    names = ("name", "version", "path", "sha256", "library", "trained_at", "promoted_at", "metrics", "withdrawn_at", "files")
    return ModelVersion(**{name: row[name] for name in names})


def log_event_of(row: RowMapping) -> LogEvent:
    """A row of ``log_events``."""
    names = ("source", "position", "happened_at", "text", "fingerprint", "signature", "severity", "identifiers", "claimed", "count")
    return LogEvent(
        ref=ref_of(row) if row["dag_id"] else None,
        try_number=row["try_number"],
        correlation=Correlation(row["correlation"]),
        probability=row["probability"],
        **{name: row[name] for name in names},
    )


def log_event_values(event: LogEvent) -> dict[str, Any]:
    """Columns of ``log_events`` but for the incident."""
    names = ("source", "position", "happened_at", "text", "fingerprint", "signature", "severity", "try_number", "probability", "count")
    ref = event.ref or TaskRef("")
    return {
        **{name: getattr(event, name) for name in names},
        "dag_id": ref.dag_id,
        "run_id": ref.run_id,
        "task_id": ref.task_id,
        "map_index": ref.map_index,
        "key": digest(event.key),
        "seen_at": now(),
        "identifiers": dict(event.identifiers),
        "claimed": dict(event.claimed),
        "correlation": str(event.correlation),
    }
