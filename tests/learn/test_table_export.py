from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airflow_oncall import conf
from airflow_oncall.learn import table_export
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.fitting import fit_models
from airflow_oncall.learn.table_export import SIZE_LIMIT, TOLERANCE, NoTable, difference, export
from airflow_oncall.triage.features import read_features, tokens
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import Table

Change = Callable[[TriageModels], TriageModels]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [example.text for example in read_corpus([conf.shipped_include()])[::5]]


@pytest.fixture(scope="module")
def models() -> TriageModels:
    """Trained on a fifth of the shipped corpus."""
    return replace(fit_models(read_corpus([conf.shipped_include()])[::5]).models, version="triage 7.0.0")


@pytest.fixture(scope="module")
def exported(models: TriageModels, texts: list[str]) -> str:
    return export(models, texts)


def test_a_table_answers_as_its_models(models: TriageModels, exported: str) -> None:
    unseen = [
        "ValueError: 7 is no colour",
        "",
        "never\nsaid before",
        *(example.text for example in read_corpus([conf.shipped_include()])[1::9]),
    ]
    assert difference(Table.load(exported), models, unseen) <= TOLERANCE


def test_a_table_gives_the_same_categories(models: TriageModels, exported: str, texts: list[str]) -> None:
    table = Table.load(exported)
    said = [next(iter(table.probabilities(tokens(text)))) for text in texts]
    assert said == [models.read(read_features(text)).category for text in texts]


def test_a_table_names_its_models_and_is_small(exported: str) -> None:
    assert Table.load(exported).version == "triage 7.0.0"
    assert len(exported.encode()) <= SIZE_LIMIT


def test_a_table_is_the_same_every_time(models: TriageModels, exported: str, texts: list[str]) -> None:
    assert export(models, texts) == exported


def without_logarithm(models: TriageModels) -> TriageModels:
    """Counts weigh as they are, which a table does not know."""
    plain: Any = type(models.vectoriser)(analyzer=tokens, sublinear_tf=False, vocabulary=models.vectoriser.vocabulary_)
    plain.idf_ = models.vectoriser.idf_
    return replace(models, vectoriser=plain)


def test_a_table_that_would_differ_is_not_handed_out(models: TriageModels) -> None:
    with pytest.raises(NoTable, match="differ from the models'"):
        export(without_logarithm(models), ["refused refused refused by the database", "timeout timeout of the disk"])


def test_models_whose_weights_are_no_numbers_have_no_table(models: TriageModels, texts: list[str]) -> None:
    broken = replace(models, category=replace(models.category, intercept=models.category.intercept * float("nan")))
    with pytest.raises(NoTable, match="nan where a number belongs"):
        export(broken, texts)


def test_a_table_that_is_too_large_is_not_handed_out(models: TriageModels, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_export, "SIZE_LIMIT", 1_000)
    with pytest.raises(NoTable, match="the limit is 1000; give the vectoriser fewer"):
        export(models, texts)


def test_equality_is_not_claimed_without_texts(models: TriageModels) -> None:
    with pytest.raises(NoTable, match="training texts"):
        export(models, [])
