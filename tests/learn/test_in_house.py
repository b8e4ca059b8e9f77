"""Failures that only one site knows: flagged before anybody labels them, recognised after three labels, nothing else lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.learn.in_house import KINDS, Kind, labelled, unseen

from airflow_oncall.incident import UNKNOWN, Diagnosis
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.evaluation import Answer, evaluate
from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.triage.diagnose import diagnose, rule_word
from airflow_oncall.triage.features import Features
from airflow_oncall.triage.models import RuleWord, TriageModels
from airflow_oncall.triage.rules import RuleBook

SHIPPED = Path(__file__).parents[2] / "include" / "oncall"
BAR = 0.9

Diagnose = Callable[[str], Diagnosis]
Judge = Callable[[Features], RuleWord | None]


def share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


def by_people(rows: Sequence[tuple[Kind, str]]) -> list[Example]:
    return [Example(text, kind.category, kind.transient, kind.name, "human", 5.0) for kind, text in rows]


@pytest.fixture(scope="module")
def judge(rules: RuleBook) -> Judge:
    return lambda features: rule_word(rules.judge(features))


@pytest.fixture(scope="module")
def corpus() -> list[Example]:
    return read_corpus([SHIPPED])


@pytest.fixture(scope="module")
def before(corpus: list[Example], judge: Judge) -> TriageModels:
    return replace(fit_models(corpus, judge=judge).models, version="before")


@pytest.fixture(scope="module")
def after(corpus: list[Example], judge: Judge) -> TriageModels:
    return replace(fit_models([*corpus, *by_people(list(labelled()))], judge=judge).models, version="after")


def with_models(rules: RuleBook, models: TriageModels) -> Diagnose:
    return lambda text: diagnose(text, rules=rules, models=models)


def test_no_rule_speaks_about_words_of_a_house(rules: RuleBook) -> None:
    silent = [diagnose(text, rules=rules).category == UNKNOWN for kind in KINDS for text in kind.wordings()]
    assert share(silent) >= 0.95


def test_before_any_label_they_are_flagged_and_nothing_is_done(rules: RuleBook, before: TriageModels) -> None:
    found = [with_models(rules, before)(text) for kind in KINDS for text in kind.wordings()]
    assert share([one.anomaly for one in found]) >= BAR


def test_after_three_labels_other_wordings_are_recognised(rules: RuleBook, after: TriageModels) -> None:
    found = [(kind, with_models(rules, after)(text)) for kind, text in unseen()]
    assert share([one.category == kind.category for kind, one in found]) >= BAR
    remembered = [one for _, one in found if one.decided_by == "memory"]
    assert remembered
    assert "a person labelled the like" in remembered[0].evidence[0]


def test_labels_cost_nothing_elsewhere(rules: RuleBook, corpus: list[Example], before: TriageModels, after: TriageModels) -> None:
    sample = corpus[:: max(1, len(corpus) // 400)]

    def answer(models: TriageModels) -> Callable[[str], Answer]:
        def answered(text: str) -> Answer:
            found = diagnose(text, rules=rules, models=models)
            return Answer(found.category, found.probability, found.transient)

        return answered

    one, other = evaluate(answer(before), sample), evaluate(answer(after), sample)
    assert other["accuracy_lenient"] >= one["accuracy_lenient"] - 0.005


def test_labels_of_one_kind_do_not_rub_off_on_its_neighbours(rules: RuleBook, corpus: list[Example], judge: Judge) -> None:
    known, *strangers = KINDS
    models = replace(fit_models([*corpus, *by_people([(known, text) for text in known.wordings()[:3]])], judge=judge).models, version="one")
    found = [with_models(rules, models)(text) for kind in strangers for text in kind.wordings()]
    assert share([one.anomaly for one in found]) >= BAR
    assert not [one for one in found if one.decided_by == "memory"]
