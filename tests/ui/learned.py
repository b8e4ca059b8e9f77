"""What was trained and tried: versions of a model, an experiment, decisions of mode ``shadow``."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.show.api.story import Story

from airflow_oncall.incident import Decision, ModelVersion, Outcome, OutcomeKind, State, TaskRef, Verdict
from airflow_oncall.store.experiments import Experiment
from airflow_oncall.store.records import now

VERSIONS = {"v1": 0.78, "v2": 0.84, "v3": 0.91}
"""By version how accurate it is."""
CONFUSED = {
    "network_timeout": {"network_timeout": 41, "rate_limit": 4},
    "rate_limit": {"rate_limit": 18, "network_timeout": 3},
    "memory_exhaustion": {"memory_exhaustion": 33, "infrastructure_failure": 5},
    "infrastructure_failure": {"infrastructure_failure": 12, "memory_exhaustion": 6},
    "code_error": {"code_error": 52},
}


def learned(story: Story) -> None:
    """A model's versions, and an experiment."""
    for place, (version, accuracy) in enumerate(VERSIONS.items()):
        trained = now() - timedelta(days=21 - 7 * place)
        story.store.models.register(_version(version, accuracy, trained))
        if version != "v1":
            story.store.models.promote("triage", version, actor="ada", reason="better everywhere")
    begun = now() - timedelta(days=10)
    arms = ("clear_task", "clear_with_delay")
    story.store.experiments.start(Experiment("wait-or-not", "rate_limit", arms, "thompson", "ada", begun))


def _version(version: str, accuracy: float, trained: datetime) -> ModelVersion:
    figures = {"accuracy_strict": accuracy, "macro_f1_strict": accuracy - 0.05, "ece": 1 - accuracy, "brier": 0.1}
    transient = {"transient_precision": 0.9, "transient_recall": accuracy - 0.1}
    bins = [{"rows": 20 + bin, "confidence": bin / 5 + 0.1, "accuracy": bin / 5 + 0.06} for bin in range(5)]
    report = {**figures, **transient, "rows": 174, "groups": 31, "confusion": CONFUSED, "reliability": bins}
    is_better = version != "v1"
    gate = {"is_open": is_better, "reasons": ["macro-F1 rose by 0.06" if is_better else "nowhere better than the rules"]}
    notes = ["174 rows of the corpus, 63 of this deployment"]
    metrics = {"reports": {"challenger": {"unseen groups": report}}, "gate": gate, "notes": notes}
    return ModelVersion("triage", version, f"triage/{version}/model.joblib", "0" * 64, "scikit-learn", trained, metrics)


def watched(story: Story, number: int) -> None:
    """A failure that was left alone, because the system only watched; it succeeded without us."""
    incident = story.diagnosed(story.failed(TaskRef("nightly", f"watched-{number}", "load_orders"), fingerprint=f"watched-{number}"))
    basis = {"would_be": str(Verdict.AUTO if number % 3 else Verdict.ASK), "attempts": 1, "minutes": 4.0}
    reasons = ("nothing is done in mode shadow",)
    decision = Decision(incident.id, 1, Verdict.OBSERVE, "clear_task", 1, 0.8, reasons, mode="shadow", basis=basis)
    left = story.store.ledger.decided(incident, decision, State.OBSERVED, 900, 1)
    outcome = Outcome(incident.id, OutcomeKind.SUCCESS, now(), 2)
    story.store.ledger.ended(left, outcome, [], State.RESOLVED, None, "it succeeded without us")
