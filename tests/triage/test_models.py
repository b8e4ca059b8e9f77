from __future__ import annotations

import math

import pytest
from tests.examples import few_examples

from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.triage.features import read_features, tokens
from airflow_oncall.triage.memory import Memory, Remembered
from airflow_oncall.triage.models import Calibration, Circumstances, TriageModels, logit, sigmoid

TEXT = "ERROR - password authentication failed for role 8"


@pytest.fixture(scope="module")
def models() -> TriageModels:
    return fit_models(few_examples()).models


def test_the_words_that_carried_a_category_add_up_to_its_log_odds(models: TriageModels) -> None:
    reading = models.read(read_features(TEXT))
    first, second = list(reading.probabilities)[:2]
    classes, category = models.category.classes, models.category
    start = (category.intercept[classes.index(first)] - category.intercept[classes.index(second)]) / category.temperature
    carried = models.carried(reading)
    odds = math.log(reading.probabilities[first] / reading.probabilities[second])
    assert start + sum(weight for _, weight in carried) == pytest.approx(odds, abs=1e-4)
    assert {token for token, _ in carried} <= set(tokens(TEXT))
    assert abs(carried[0][1]) == max(abs(weight) for _, weight in carried)


def test_probabilities_come_the_best_first_and_sum_to_one(models: TriageModels) -> None:
    found = models.read(read_features(TEXT))
    assert found.category == "authentication"
    assert list(found.probabilities.values()) == sorted(found.probabilities.values(), reverse=True)
    assert sum(found.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("text", ["", "\x00\x00", "???", "x" * 10_000])
def test_a_text_without_a_known_word_is_answered(models: TriageModels, text: str) -> None:
    assert 0 <= models.read(read_features(text)).probability <= 1


def test_recommendations_are_ordered_and_a_person_takes_the_rest(models: TriageModels) -> None:
    found = models.recommend("network_timeout", 0.9, False, Circumstances())
    chances = [one.probability for one in found]
    assert chances == sorted(chances, reverse=True)
    escalation = next(one.probability for one in found if one.remedy.kind == "escalate")
    assert escalation == pytest.approx(1 - max(chances))


def test_log_odds_and_probability_undo_each_other() -> None:
    assert sigmoid(logit(0.3)) == pytest.approx(0.3)
    assert all(math.isfinite(logit(edge)) for edge in (0.0, 1.0))
    assert sigmoid(-1_000) == 0.0
    assert sigmoid(1_000) == 1.0


def test_a_signal_that_was_never_seen_changes_nothing() -> None:
    calibration = Calibration({"rule": 1.0}, 0.5)
    assert calibration.probability({"rule": 1.0, "new": 9.0}) == sigmoid(1.5)


def remembering(*said: tuple[str, str]) -> Memory:
    empty = Memory(rarity={"error": 1.0}, rarest=5.0)
    return Memory(
        tuple(Remembered(name, "code_error", False, "human", empty.weigh(tokens(text))) for name, text in said), empty.rarity, empty.rarest
    )


def test_rare_words_make_two_failures_alike_and_common_ones_do_not() -> None:
    memory = remembering(("one", "shop.TillJammed: drawer 3 error"))
    assert memory.nearest(read_features("shop.TillJammed: drawer 8 error"))
    assert memory.nearest(read_features("an error of another kind in the lamp")) is None


def test_of_equals_the_newest_is_named() -> None:
    memory = remembering(("old", "shop.TillJammed: drawer"), ("new", "shop.TillJammed: drawer"))
    like = memory.nearest(read_features("shop.TillJammed: drawer"))
    assert like is not None
    assert like.remembered.name == "new"
    assert like.cosine == pytest.approx(1.0)


def test_an_empty_memory_remembers_nothing() -> None:
    assert Memory().nearest(read_features(TEXT)) is None


def test_known_share_tells_strange_words() -> None:
    memory = remembering()
    assert memory.known_share(["error"]) == 1.0
    assert memory.known_share(["hoist", "berth"]) == 0.0
    assert 0 < memory.known_share(["error", "hoist"]) < 0.5
