from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import joblib
import pytest

from airflow_oncall.errors import TrainingSkipped
from airflow_oncall.incident import ActionKind
from airflow_oncall.learn.calibration import Repair
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.fitting import Fitted, fit_models
from airflow_oncall.triage.features import Features, read_features
from airflow_oncall.triage.models import Circumstances, Remedy, RuleWord, TriageModels

HEAP = "java.lang.OutOfMemoryError: Java heap space in worker 9"
CLEAR = Remedy(ActionKind.CLEAR_TASK)


@pytest.fixture(scope="session")
def fitted(few: list[Example]) -> Fitted:
    return fit_models(few)


def top(models: TriageModels, text: str) -> str:
    return models.read(read_features(text)).category


def test_what_was_learned_is_measured_on_unseen_groups(fitted: Fitted, few: list[Example]) -> None:
    assert fitted.metrics["rows"] == len(few)
    assert fitted.metrics["estimator"] == "LogisticRegression"
    assert fitted.metrics["accuracy_lenient"] > 0.5
    assert top(fitted.models, HEAP) == "memory_exhaustion"


def test_the_same_examples_give_the_same_models(fitted: Fitted, few: list[Example]) -> None:
    assert fit_models(few).metrics == fitted.metrics


def test_what_is_saved_needs_nothing_of_training(fitted: Fitted) -> None:
    buffer = io.BytesIO()
    joblib.dump(fitted.models, buffer)
    assert b"airflow_oncall.learn" not in buffer.getvalue()
    assert top(joblib.load(io.BytesIO(buffer.getvalue())), HEAP) == "memory_exhaustion"


def test_a_text_like_those_seen_is_no_anomaly_and_an_alien_one_is(fitted: Fitted) -> None:
    assert not fitted.models.read(read_features(HEAP)).unlike
    assert fitted.models.read(read_features("acme.yard.CraneParked: hoist berth amber, lift tonight")).unlike


def test_a_re_run_helps_what_is_transient(fitted: Fitted) -> None:
    def helps(text: str, category: str) -> float:
        return fitted.models.transient.probability(fitted.models.read(read_features(text)).vector, category)

    assert helps("ReadTimeout: upstream timed out after 8", "network_timeout") > 0.8
    assert helps("NameError: name is not defined in line 8", "code_error") < 0.2


def test_a_search_says_what_it_chose(few: list[Example]) -> None:
    found = fit_models(few, rounds=2)
    assert found.choice.tried == 2
    assert found.metrics["estimator"] == found.choice.name


def test_one_category_is_not_enough(few: list[Example]) -> None:
    with pytest.raises(TrainingSkipped, match="18 usable examples of code_error; a classifier needs at least two"):
        fit_models([example for example in few if example.category == "code_error"])


@pytest.mark.parametrize("text", [None, float("nan"), "", "  \n"])
def test_rows_without_text_teach_nothing(few: list[Example], text: Any) -> None:
    found = fit_models([*few, replace(few[0], text=text)])
    assert found.metrics["rows"] == len(few)


def test_nothing_but_such_rows_is_a_reason_to_skip() -> None:
    with pytest.raises(TrainingSkipped, match="0 usable examples of nothing"):
        fit_models([Example(" ", "none", None, "g")])


def test_conflicting_labels_go_by_weight(few: list[Example]) -> None:
    disputed = Example("shop.TillJammed: drawer 3 will not open", "code_error", False, "till-1")
    believed = replace(disputed, category="authentication", group="till-2", weight=10.0)
    assert top(fit_models([*few, disputed, believed]).models, disputed.text) == "authentication"


def test_a_group_of_one_row_and_a_category_of_one_row_are_learned(few: list[Example]) -> None:
    lonely = Example("shop.RateCapped: quota of calls used up, throttled", "rate_limit", True, "lonely", weight=5.0)
    assert top(fit_models([*few, lonely]).models, lonely.text) == "rate_limit"


def test_two_rows_are_trained_on_though_nothing_can_be_held_back() -> None:
    rows = [Example("KeyError: 'x'", "code_error", False, "a"), Example("all went well", "none", None, "a")]
    assert top(fit_models(rows).models, "KeyError: 'y'") == "code_error"


def test_what_a_person_labelled_is_remembered_and_outcomes_apart(few: list[Example]) -> None:
    labelled = Example("shop.TillJammed: drawer 3 will not open", "infrastructure_failure", True, "incident 12", origin="human", weight=5.0)
    healed = Example("shop.LampFlicker: lamp 4 flickers", "infrastructure_failure", True, "incident 13", origin="outcome", weight=2.0)
    memory = fit_models([*few, labelled, healed]).models.memory
    like = memory.nearest(read_features("shop.TillJammed: drawer 8 will not close"))
    assert like is not None
    assert (like.remembered.name, like.remembered.category) == ("incident 12", "infrastructure_failure")
    assert like.shared[0][0] in {"class:TillJammed", "tilljammed", "till", "jammed", "drawer", "shop tilljammed", "shop"}
    assert memory.nearest(read_features(healed.text)) is None
    assert memory.nearest(read_features(healed.text), ("outcome",)) is not None


class TestRules:
    """The word of rules is calibrated on rows whose truth is known."""

    @staticmethod
    def guess(features: Features) -> RuleWord | None:
        """Right about timeouts, half right about the rest."""
        text = " ".join(clause.text for clause in features.clauses).lower()
        return RuleWord("network_timeout", 0.9, True) if "timed out" in text or "role" in text else None

    def test_a_rule_that_is_half_right_is_trusted_by_what_the_models_say(self, few: list[Example]) -> None:
        models = fit_models(few, judge=self.guess).models
        assert models.rule_trust is not None

        def trust(text: str) -> float:
            from airflow_oncall.triage.models import rule_signals

            read = models.read(read_features(text))
            assert models.rule_trust is not None
            return models.rule_trust.probability(rule_signals(RuleWord("network_timeout", 0.9, True), read.probabilities, read.distance))

        assert trust("ReadTimeout: upstream timed out after 5") > 0.7
        assert trust("ERROR - access denied for role 5, password expired") < 0.4

    def test_rules_that_are_always_right_leave_nothing_to_calibrate(self, few: list[Example]) -> None:
        def always(features: Features) -> RuleWord | None:
            return RuleWord("network_timeout", 0.9, True) if "timed" in str(features.clauses) else None

        assert fit_models([one for one in few if one.category != "authentication"], judge=always).models.rule_trust is None

    def test_how_likely_trouble_was_caught_is_learned_from_what_stands_behind_it(self, few: list[Example]) -> None:
        trouble = "2031-02-03 04:05:06,007 ERROR loader: upstream timed out after {n}"
        calm = "\n2031-02-03 04:05:07,007 INFO loader: {n} rows stored"
        failed = [Example(trouble.format(n=n), "network_timeout", True, f"failed-{n}") for n in range(12)]
        caught = [Example((trouble + calm).format(n=n), "none", None, f"caught-{n}") for n in range(12)]
        models = fit_models([*few, *failed, *caught], judge=self.guess).models
        assert models.caught is not None
        assert models.caught.weights["behind"] > 1

    def test_without_rules_none_are_calibrated(self, fitted: Fitted) -> None:
        assert fitted.models.rule_trust is None
        assert fitted.models.rule_transient is None


class TestConfidence:
    """P(a remedy resolves the incident): the corpus is the prior, verified repairs count as they come."""

    def test_the_prior_is_what_a_re_run_can_do(self, fitted: Fitted) -> None:
        best, *_ = fitted.models.recommend("network_timeout", 0.95, False, Circumstances())
        assert best.remedy.kind is ActionKind.CLEAR_TASK
        worst = fitted.models.recommend("code_error", 0.03, False, Circumstances())[0]
        assert worst.remedy.kind is ActionKind.ESCALATE

    def test_repairs_that_failed_again_are_learned_from(self, few: list[Example], fitted: Fitted) -> None:
        tired = Circumstances(try_number=4, failures=3)
        failed = Repair("network_timeout", 0.9, False, CLEAR, tired, resolved=False)
        held = Repair("network_timeout", 0.9, False, CLEAR, Circumstances(), resolved=True)
        models = fit_models(few, repairs=[failed, held] * 60).models

        def chance(models: TriageModels, around: Circumstances) -> float:
            return {one.remedy: one.probability for one in models.recommend("network_timeout", 0.9, False, around)}[CLEAR]

        assert chance(models, tired) < 0.3 < 0.8 < chance(models, Circumstances())
        assert chance(fitted.models, tired) > 0.5

    def test_waiting_is_recommended_where_it_helped(self, few: list[Example]) -> None:
        at_once = Repair("rate_limit", 0.9, False, CLEAR, Circumstances(), resolved=False)
        later = replace(at_once, remedy=Remedy(ActionKind.CLEAR_TASK, waits=True), resolved=True)
        models = fit_models(few, repairs=[at_once, later] * 60).models
        assert models.recommend("rate_limit", 0.9, False, Circumstances())[0].remedy == later.remedy
