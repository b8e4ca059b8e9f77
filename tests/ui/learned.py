"""What was trained and tried: versions of a model, an experiment, decisions of mode ``shadow``."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.show.api.story import Story

from airflow_oncall.act.assignment import REPAIRED
from airflow_oncall.act.decide import HOLDOUT
from airflow_oncall.incident import Decision, Diagnosis, Evidence, ModelVersion, OutcomeKind, State, TaskRef, Verdict
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


TRIAL, ARMS = "wait-or-not", ("clear_task", "clear_with_delay")
MEMORY_ARMS = ("retry_with_more_memory", "clear_task")
WOULD = (Verdict.AUTO, Verdict.ASK, Verdict.AUTO, Verdict.ESCALATE)
RATE_LIMITED = Diagnosis("rate_limit", 0.9, True, 0.8, evidence=("429 Too Many Requests",))


def learned(story: Story) -> None:
    """A model's versions, and an experiment."""
    for place, (version, accuracy) in enumerate(VERSIONS.items()):
        trained = now() - timedelta(days=21 - 7 * place)
        story.store.models.register(_version(version, accuracy, trained))
        if version != "v1":
            story.store.models.promote("triage", version, actor="ada", reason="better everywhere")
    begun = now() - timedelta(days=14)
    story.store.experiments.start(Experiment(TRIAL, "rate_limit", ARMS, "thompson", "ada", begun))
    story.store.experiments.start(Experiment("not-begun", "memory_exhaustion", MEMORY_ARMS, "hash", "ada", begun))


def _version(version: str, accuracy: float, trained: datetime) -> ModelVersion:
    figures = {"accuracy_strict": accuracy, "macro_f1_lenient": accuracy - 0.05, "ece": 1 - accuracy, "brier": 0.1}
    transient = {"transient_precision": 0.9, "transient_recall": accuracy - 0.1}
    bins = [{"rows": 20 + bin, "confidence": bin / 5 + 0.1, "accuracy": bin / 5 + 0.06} for bin in range(5)]
    report = {**figures, **transient, "rows": 174, "groups": 31, "confusion": CONFUSED, "reliability": bins}
    is_better = version != "v1"
    gate = {"is_open": is_better, "reasons": ["macro-F1 rose by 0.06" if is_better else "nowhere better than the rules"]}
    notes = ["174 rows of the corpus, 63 of this deployment"]
    metrics = {"reports": {"challenger": {"unseen groups": report}}, "gate": gate, "notes": notes}
    return ModelVersion("triage", version, f"triage/{version}/model.joblib", "0" * 64, "scikit-learn", trained, metrics)


def watched(story: Story, number: int) -> None:
    """A failure that was left alone, because the system only watched; people ran it again, and it mostly succeeded."""
    ref = TaskRef("nightly", f"watched-{number}", "load_orders")
    incident = story.diagnosed(story.failed(ref, happened_at=now(), fingerprint=f"watched-{number}"))
    basis = {"would_be": str(WOULD[number % len(WOULD)]), "attempts": 1, "minutes": 4.0}
    reasons = ("nothing is done in mode shadow",)
    decision = Decision(incident.id, 1, Verdict.OBSERVE, "clear_task", 1, 0.8, reasons, mode="shadow", basis=basis)
    left = story.store.ledger.decided(incident, decision, State.OBSERVED, 900, 1)
    if number % 5 == 0:
        again = Evidence(message="it failed again", duration=300.0)
        story.failed(ref, fingerprint=f"watched-{number}", try_number=2, happened_at=now() + timedelta(minutes=20), evidence=again)
    else:
        story.ended(left, OutcomeKind.SUCCESS, minutes=45)


def drawn(story: Story, number: int) -> None:
    """Three failures whose repair was drawn: one of each arm of the experiment, one repaired and one left out to measure the gain."""
    for arm in ARMS:
        end = OutcomeKind.SUCCESS if (number % 6 if arm == ARMS[1] else number % 2) else OutcomeKind.FAILED_SAME
        _drawn(story, f"{arm}-{number}", f"{TRIAL}/{arm}", end, arm)
    _drawn(story, f"repaired-{number}", REPAIRED, OutcomeKind.SUCCESS if number % 4 else OutcomeKind.FAILED_SAME)
    _drawn(story, f"left-out-{number}", HOLDOUT, OutcomeKind.SUCCESS if number % 3 == 0 else OutcomeKind.FAILED_SAME)


def _drawn(story: Story, run: str, arm: str, end: OutcomeKind, action: str = ARMS[0]) -> None:
    incident = story.diagnosed(story.failed(TaskRef("nightly", run, "load_orders"), fingerprint="rate-limited"), RATE_LIMITED)
    is_left_out = arm == HOLDOUT
    verdict, state = (Verdict.OBSERVE, State.OBSERVED) if is_left_out else (Verdict.AUTO, State.ACTING)
    decision = Decision(incident.id, 1, verdict, action, 1, 0.8, ("it was drawn",), mode="auto", basis={"severity": "medium"}, arm=arm)
    decided = story.store.ledger.decided(incident, decision, state, 0, 1)
    story.ended(decided, end, minutes=40 if is_left_out else 6)
