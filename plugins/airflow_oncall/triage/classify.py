"""One labelled excerpt in, one answer out: what the ``classify`` command does with each line of its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.triage.diagnose import diagnose
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.rules import RuleBook


def classify_record(record: Mapping[str, Any], rules: RuleBook, models: TriageModels | None = None) -> dict[str, Any]:
    """Answer ``{"id", "source", "text"}`` with id, category, confidence, transient, anomaly and identifiers."""
    found = diagnose(str(record.get("text") or ""), rules=rules, models=models)
    return {
        "id": record.get("id"),
        "category": found.category,
        "confidence": found.probability,
        "transient": None if found.category == NO_INCIDENT else found.transient,
        "anomaly": found.anomaly,
        "identifiers": dict(found.identifiers),
    }
