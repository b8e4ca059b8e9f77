from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.examples import few_examples

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.triage.classify import classify_record
from airflow_oncall.triage.diagnose import diagnose
from airflow_oncall.triage.models import Calibration, TriageModels, logit
from airflow_oncall.triage.rulefile import parse_rules
from airflow_oncall.triage.rules import RuleBook

IN_HOUSE = "Traceback (most recent call last):\nshop.billing.LedgerFrozenProblem: period 7 is sealed"

WRONG_RULE = "- {id: wrong, category: code_error, probability: 0.7, patterns: may not log in, test: ERROR - role 1 may not log in}"
OUT_OF_MEMORY = json.dumps(
    {
        "level": "critical",
        "event": "Process terminated by signal. Likely out of memory error (OOM).",
        "signal": -9,
        "signal_name": "SIGKILL",
    }
)


@pytest.fixture(scope="module")
def models() -> TriageModels:
    """Trained on a small corpus, one label of a person and one repair that helped."""
    labelled = Example("shop.TillJammed: drawer 3 will not open", "infrastructure_failure", True, "incident 12", "human", 5.0)
    healed = Example(
        "FileNotFoundError: [Errno 2] No such file or directory: 'bluebird envelope 3'", "missing_data", True, "incident 13", "outcome"
    )
    return replace(fit_models([*few_examples(), labelled, healed]).models, version="triage 9")


def test_a_rule_decides_and_says_why(rules: RuleBook) -> None:
    found = diagnose("OSError: [Errno 28] No space left on device", rules=rules)
    assert (found.category, found.transient, found.decided_by, found.anomaly) == ("storage_exhaustion", False, "rules", False)
    assert "os-disk-full" in found.evidence[0]
    assert found.transient_probability < 0.5 < found.probability


@pytest.mark.parametrize("with_models", [False, True], ids=["rules alone", "rules and models"])
def test_a_rule_may_say_itself_how_likely_a_re_run_helps(rules: RuleBook, models: TriageModels, with_models: bool) -> None:
    misspelt, hiccup = "[Errno -2] Name or service not known", "[Errno -3] Temporary failure in name resolution"
    texts = (f"socket.gaierror: {misspelt}", f"socket.gaierror: {hiccup}")
    first, second = (diagnose(text, rules=rules, models=models if with_models else None) for text in texts)
    assert (first.category, first.transient, first.transient_probability) == ("network_connectivity", True, 0.65)
    assert second.transient_probability != 0.65


def test_without_a_model_what_no_rule_knows_is_unknown(rules: RuleBook) -> None:
    found = diagnose(IN_HOUSE, rules=rules)
    assert (found.category, found.anomaly, found.probability) == ("unknown", True, 0.0)


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


class TestWithModels:
    """The whole ladder: memory, rules, models, unknown."""

    def test_a_person_beats_a_rule(self, rules: RuleBook, models: TriageModels) -> None:
        text = "shop.TillJammed: drawer 8, [Errno 28] No space left on device"
        assert diagnose(text, rules=rules).category == "storage_exhaustion"
        found = diagnose(text, rules=rules, models=models)
        assert (found.category, found.transient, found.decided_by) == ("infrastructure_failure", True, "memory")
        assert found.evidence[0].startswith("a person labelled the like: incident 12 is infrastructure_failure (cosine 0.")
        assert "class:TillJammed" in found.evidence[0] or "drawer" in found.evidence[0]
        assert found.model_version == "triage 9"

    def test_a_rule_decides_and_the_models_say_how_sure_it_is(self, rules: RuleBook, models: TriageModels) -> None:
        text = "java.lang.OutOfMemoryError: Java heap space in worker 4"
        found = diagnose(text, rules=rules, models=models)
        assert (found.category, found.decided_by, found.anomaly) == ("memory_exhaustion", "rules", False)
        assert found.evidence[-1].startswith("model triage 9: memory_exhaustion ")

    def test_the_model_speaks_where_no_rule_does(self, models: TriageModels) -> None:
        found = diagnose("ERROR - role 7 may not log in, password expired", rules=RuleBook(), models=models)
        assert (found.category, found.decided_by, found.transient) == ("authentication", "model", False)
        assert found.transient_probability < 0.5 < found.probability
        assert found.evidence[0] == "no rule fires"
        assert found.evidence[-1].startswith("carried by ")

    def test_the_models_are_silent_about_a_text_unlike_anything_seen(self, models: TriageModels) -> None:
        found = diagnose(IN_HOUSE, rules=RuleBook(), models=models)
        assert (found.category, found.anomaly, found.probability, found.transient) == ("unknown", True, 0.0, None)
        assert "unlike anything seen (distance " in found.evidence[-1]

    def test_an_unsure_model_leaves_an_anomaly(self, models: TriageModels) -> None:
        text = "ERROR - role 7 may not log in, password expired"
        found = diagnose(text, rules=RuleBook(), models=replace(models, sure=1.0))
        assert (found.category, found.anomaly) == ("unknown", True)

    def test_a_rule_that_fires_on_alien_text_is_flagged(self, rules: RuleBook, models: TriageModels) -> None:
        text = "acme.yard.BerthTaken: the hoist berth kraken zebra quartz lantern says Connection refused"
        found = diagnose(text, rules=rules, models=models)
        assert (found.decided_by, found.anomaly) == ("rules", True)

    def test_models_overrule_a_rule_only_where_they_were_measured_to_be_right(self, models: TriageModels) -> None:
        wrong = parse_rules({"w.yaml": WRONG_RULE})
        text = "ERROR - role 7 may not log in, password expired"
        assert diagnose(text, rules=wrong, models=models).category == "code_error"
        proved = replace(models, rule_trust=Calibration({}, -2.0), model_trust=Calibration({}, 2.0))
        found = diagnose(text, rules=wrong, models=proved)
        assert (found.category, found.decided_by) == ("authentication", "model")
        assert found.evidence[0] == "the models are surer (0.88) than the rule (0.12)"
        assert found.evidence[1].startswith("rule wrong ")
        assert found.probability == pytest.approx(0.88, abs=0.01)

    def test_how_the_like_of_it_ended_fills_in_what_a_rule_leaves_open(self, rules: RuleBook, models: TriageModels) -> None:
        text = "FileNotFoundError: [Errno 2] No such file or directory: 'bluebird envelope 7'"
        assert diagnose(text, rules=rules).transient is None
        found = diagnose(text, rules=rules, models=models)
        assert (found.category, found.transient) == ("missing_data", True)
        assert "the like of it succeeded when run again: incident 13" in found.evidence[-1]

    @pytest.mark.parametrize("text", ["", "\x00" * 99, "all went well"])
    def test_a_text_that_shows_no_failure_is_no_anomaly(self, rules: RuleBook, models: TriageModels, text: str) -> None:
        found = diagnose(text, rules=rules, models=models)
        assert (found.category, found.anomaly) == ("none", False)

    def test_the_models_say_nothing_of_a_re_run_of_what_is_unlike_anything_seen(self, rules: RuleBook, models: TriageModels) -> None:
        text = "acme.yard.BerthTaken: the hoist berth kraken zebra quartz lantern says Connection refused"
        alone, with_models = diagnose(text, rules=rules), diagnose(text, rules=rules, models=models)
        assert (with_models.transient, alone.transient) == (True, True)
        assert with_models.transient_probability == pytest.approx(0.9 * with_models.probability, abs=1e-3)

    def test_a_program_that_went_on_behind_its_trouble_had_caught_it(self, rules: RuleBook, models: TriageModels) -> None:
        proved = replace(models, caught=Calibration({"behind": 4.0}, -2.0))
        trouble = "2031-02-03 04:05:06,007 ERROR loader: [Errno 111] Connection refused"
        calm = "\n2031-02-03 04:05:07,007 INFO loader: 4 rows in orders"
        assert diagnose(trouble, rules=rules, models=proved).category == "network_connectivity"
        assert diagnose(trouble + calm, rules=rules, models=models).category == "network_connectivity"
        found = diagnose(trouble + calm, rules=rules, models=proved)
        assert (found.category, found.decided_by, found.transient) == ("none", "model", None)
        assert found.evidence[0] == "it was caught (0.68), for the program went on; calm log records behind it: 1"
        assert diagnose(f"{trouble}{calm}\nTask exited with return code 1", rules=rules, models=proved).category == "network_connectivity"

    def test_without_calm_work_behind_it_no_trouble_is_taken_for_caught(self, rules: RuleBook, models: TriageModels) -> None:
        certain = replace(models, caught=Calibration({}, 5.0))
        assert diagnose("ERROR - [Errno 111] Connection refused", rules=rules, models=certain).category == "network_connectivity"

    def test_the_models_do_not_overrule_a_jobs_own_word_that_it_came_to_its_end(self, rules: RuleBook, models: TriageModels) -> None:
        text = "WARNING - upstream timed out after 8\nsync complete"
        certain = replace(models, sure=0.0, rule_trust=Calibration({}, -5.0), model_trust=Calibration({}, 5.0))
        found = diagnose(text, rules=rules, models=certain)
        assert (found.category, found.decided_by, found.transient) == ("none", "rules", None)

    @pytest.mark.parametrize(("helps", "said"), [(0.75, True), (0.65, None), (0.45, None), (0.35, False)])
    def test_a_re_run_is_promised_only_where_it_is_likely_to_help(
        self, rules: RuleBook, models: TriageModels, helps: float, said: bool | None
    ) -> None:
        measured = replace(models, rule_transient=Calibration({}, logit(helps)))
        open_rule = RuleBook(tuple(replace(rule, transient=None) for rule in rules.rules))
        found = diagnose("ReadTimeout: upstream timed out after 8", rules=open_rule, models=measured)
        assert found.transient is said
        assert found.transient_probability == pytest.approx(helps, abs=1e-3)
