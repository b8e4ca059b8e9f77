from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_oncall.triage.classifier import Classifier
from airflow_oncall.triage.classify import classify_record
from airflow_oncall.triage.diagnose import diagnose
from airflow_oncall.triage.rulefile import parse_rules
from airflow_oncall.triage.rules import RuleBook

SHIPPED = Path(__file__).parents[2] / "include" / "oncall" / "rules"
IN_HOUSE = "Traceback (most recent call last):\nshop.billing.LedgerFrozenProblem: period 7 is sealed"

OUT_OF_MEMORY = json.dumps(
    {
        "level": "critical",
        "event": "Process terminated by signal. Likely out of memory error (OOM).",
        "signal": -9,
        "signal_name": "SIGKILL",
    }
)


class Oracle:
    """Stands in for a fitted pipeline: always the same answer."""

    classes_ = ("code_error", "data_quality")

    def __init__(self, *probabilities: float) -> None:
        self.probabilities = probabilities
        self.read: list[str] = []

    def predict_proba(self, documents: list[str]) -> list[tuple[float, ...]]:
        self.read += documents
        return [self.probabilities for _ in documents]


@pytest.fixture(scope="module")
def rules() -> RuleBook:
    return parse_rules({path.name: path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml"))})


def test_a_rule_decides_and_says_why(rules: RuleBook) -> None:
    found = diagnose("OSError: [Errno 28] No space left on device", rules=rules)
    assert (found.category, found.transient, found.decided_by, found.anomaly) == ("storage_exhaustion", False, "rules", False)
    assert "os-disk-full" in found.evidence[0]
    assert found.transient_probability < 0.5 < found.probability


def test_the_model_speaks_where_no_rule_does(rules: RuleBook) -> None:
    oracle = Oracle(0.2, 0.8)
    found = diagnose(IN_HOUSE, rules=rules, classifier=Classifier(oracle, "category 9"))
    assert (found.category, found.decided_by, found.model_version, found.probability) == ("data_quality", "model", "category 9", 0.8)
    assert "LedgerFrozenProblem" in oracle.read[0]
    assert any("model category 9: data_quality 0.80" in step for step in found.evidence)


def test_an_unsure_model_leaves_an_anomaly(rules: RuleBook) -> None:
    found = diagnose(IN_HOUSE, rules=rules, classifier=Classifier(Oracle(0.45, 0.45), "category 9"))
    assert (found.category, found.anomaly, found.transient) == ("unknown", True, None)


def test_without_a_model_what_no_rule_knows_is_unknown(rules: RuleBook) -> None:
    found = diagnose(IN_HOUSE, rules=rules)
    assert (found.category, found.anomaly, found.probability) == ("unknown", True, 0.0)


def test_a_rule_is_never_overruled_by_the_model(rules: RuleBook) -> None:
    found = diagnose("MemoryError", rules=rules, classifier=Classifier(Oracle(0.01, 0.99), "category 9"))
    assert (found.category, found.decided_by, found.model_version) == ("memory_exhaustion", "rules", None)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("", "infrastructure_failure"),
        ("[2031-02-03, 04:05:06] INFO - DAG bundles loaded: dags-folder", "infrastructure_failure"),
        (OUT_OF_MEMORY, "memory_exhaustion"),
        ("Process exited: exit_code=-9 signal=SIGKILL", "memory_exhaustion"),
    ],
)  # fmt: skip
def test_a_vanished_process_is_judged_by_its_memory_evidence(rules: RuleBook, text: str, category: str) -> None:
    found = diagnose(text, killed=True, rules=rules)
    assert (found.category, found.transient) == (category, True)
    assert 0.5 < found.probability < 0.9


def test_what_a_person_marked_failed_is_never_run_again(rules: RuleBook) -> None:
    assert diagnose("", by_hand=True, rules=rules).transient is False
    found = diagnose("ConnectionResetError: [Errno 104] Connection reset by peer", by_hand=True, rules=rules)
    assert (found.category, found.transient) == ("network_connectivity", False)
    assert found.transient_probability < 0.5
    assert found.evidence[0] == "a person marked it failed"


def test_exception_classes_alone_are_enough(rules: RuleBook) -> None:
    found = diagnose("", exception_chain=["airflow.sdk.exceptions.AirflowTaskTimeout"], rules=rules)
    assert found.category == "workflow_timeout"


def test_a_record_is_answered_with_its_id(rules: RuleBook) -> None:
    text = "2031-02-03 04:05:06 UTC [7] app@shop ERROR:  23505: duplicate key value violates unique constraint"
    assert classify_record({"id": "a-1", "source": "postgres", "text": text}, rules) == {
        "id": "a-1",
        "category": "data_quality",
        "confidence": pytest.approx(0.93, abs=0.05),
        "transient": False,
        "anomaly": False,
        "identifiers": {"database": "shop", "sqlstate": "23505"},
    }


@pytest.mark.parametrize("text", [None, "", "all went well"])
def test_a_record_without_a_failure_is_none(rules: RuleBook, text: str | None) -> None:
    answer = classify_record({"id": "a-2", "text": text}, rules)
    assert (answer["category"], answer["transient"]) == ("none", None)


def test_hostile_text_is_answered(rules: RuleBook) -> None:
    for text in ("\x00" * 1_000, "a." * 100_000 + "Error", "(" * 50_000, "{" * 50_000, "error: " * 40_000, "Caused by: " * 5_000):
        assert classify_record({"id": "x", "text": text}, rules)["category"]
