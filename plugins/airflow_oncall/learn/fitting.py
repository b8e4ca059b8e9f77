"""One training: examples in, :class:`TriageModels` out, calibrated on rows that the models had not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.learn.calibration import (
    Repair,
    distance_limit,
    fit_caught,
    fit_confidence,
    fit_model_trust,
    fit_rule_transient,
    fit_rule_trust,
    set_threshold,
)
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.estimators import DEFAULT, Choice, best_temperature, search, splits
from airflow_oncall.learn.evaluation import Answer, measure
from airflow_oncall.learn.parts import fit_category, fit_patterns, fit_transient, make_memory
from airflow_oncall.learn.vectors import Prepared, fit_vectoriser, prepare, serving, unfitted_vectoriser
from airflow_oncall.triage.features import Features
from airflow_oncall.triage.models import RuleWord, TriageModels

JUDGED = 1_000
"""Most rows that rules are asked about; they take longer than all models together."""

Judge = Callable[[Features], RuleWord | None]
"""The rules' word on a text, ``None`` where no rule fires."""


@dataclass(frozen=True)
class Fitted:
    """Trained models and how they did, alone, on groups that they had not seen."""

    models: TriageModels
    metrics: Mapping[str, Any]
    choice: Choice


@dataclass
class Unseen:
    """What the models say about rows of groups that were not trained on."""

    scores: Any
    """Array, rows x classes."""
    transient: Any
    """Log odds of each row, given the category that the models say."""
    distances: Any


def fit_models(
    examples: Sequence[Example],
    *,
    judge: Judge | None = None,
    repairs: Sequence[Repair] = (),
    rounds: int = 0,
    choice: Choice = DEFAULT,
) -> Fitted:
    """Train all parts. ``rounds``: candidates that the search tries; 0 trains ``choice`` at once.

    With a ``judge`` (the rules in force) its word is calibrated too. Raises :class:`TrainingSkipped` where fewer than two
    categories are left.
    """
    data = prepare(examples)
    choice = search(unfitted_vectoriser(), data.documents, data.labels, data.groups, data.weights, rounds) if rounds else choice
    models, _ = _fit(data, choice)
    unseen = _out_of_fold(data, choice, models.category.classes)
    models = _calibrated(models, data, unseen)
    spread, healthy = (_spread(data.groups, JUDGED), _went_on(data)) if judge else (set(), set())
    told = [judge(one) if judge and row in spread | healthy else None for row, one in enumerate(data.features)]
    words = [word if row in spread else None for row, word in enumerate(told)]
    said = [_said(models, unseen, row) for row in range(len(words))]
    models = replace(
        models,
        rule_trust=fit_rule_trust(data, words, said, unseen.distances),
        model_trust=fit_model_trust(data, words, said, unseen.distances),
        caught=fit_caught(data, spread | healthy, told, said, unseen.distances),
        rule_transient=fit_rule_transient(data, words, models.transient, unseen.transient),
        confidence=fit_confidence(data.examples, models.transient, unseen.transient, repairs),
    )
    answers = [_answer(models, unseen, row) for row in range(len(data.examples))]
    metrics = measure(data.examples, answers) | {"estimator": choice.name, "parameters": dict(choice.parameters)}
    serving(models.vectoriser)
    return Fitted(models, metrics, choice)


def _fit(data: Prepared, choice: Choice) -> tuple[TriageModels, Any]:
    vectoriser = fit_vectoriser(data)
    matrix = vectoriser.transform(data.documents)
    models = TriageModels(
        vectoriser=vectoriser,
        category=fit_category(matrix, data.labels, data.weights, choice),
        transient=fit_transient(matrix, data.examples),
        patterns=fit_patterns(matrix, data.groups),
        memory=make_memory(vectoriser, data.examples, data.documents),
    )
    return models, matrix


def _out_of_fold(data: Prepared, choice: Choice, classes: Sequence[str]) -> Unseen:
    """Each row judged by models that saw nothing of its group; by all where there are too few groups to hold any back."""
    count = len(data.examples)
    everything = np.arange(count)
    unseen = Unseen(np.full((count, len(classes)), np.nan), np.zeros(count), np.zeros(count))
    for train, test in splits(data.labels, data.groups) or [(everything, everything)]:
        models, _ = _fit(data.rows(train), choice)
        documents = [data.documents[row] for row in test]
        matrix = models.vectoriser.transform(documents)
        columns = [classes.index(name) for name in models.category.classes]
        scores = matrix @ models.category.coef.T + models.category.intercept
        unseen.scores[np.ix_(test, columns)] = scores
        offsets = [models.transient.offsets.get(models.category.classes[best], 0.0) for best in scores.argmax(axis=1)]
        unseen.transient[test] = matrix @ models.transient.coef + models.transient.intercept + np.array(offsets)
        unseen.distances[test] = models.patterns.distances(matrix, np.array([models.memory.known_share(one) for one in documents]))
    # A category that a fold could not see gets the least of the scores.
    least = np.nanmin(unseen.scores, axis=1, keepdims=True)
    unseen.scores = np.where(np.isnan(unseen.scores), least, unseen.scores)
    return unseen


def _calibrated(models: TriageModels, data: Prepared, unseen: Unseen) -> TriageModels:
    truth = np.array([models.category.classes.index(label) for label in data.labels])
    category = replace(models.category, temperature=best_temperature(unseen.scores, truth, data.weights))
    known = np.array([row for row, example in enumerate(data.examples) if example.transient is not None], dtype=int)
    transient = models.transient
    if len({data.examples[row].transient for row in known}) == 2:
        odds = unseen.transient[known]
        yes = np.array([int(bool(data.examples[row].transient)) for row in known])
        scores = np.stack([-odds / 2, odds / 2], axis=1)
        transient = replace(transient, temperature=best_temperature(scores, yes, data.weights[known]))
    limit = distance_limit(unseen.distances, data.examples)
    return replace(
        models,
        category=category,
        transient=transient,
        patterns=replace(models.patterns, limit=limit),
        memory=set_threshold(models.memory, data),
    )


def _went_on(data: Prepared) -> set[int]:
    """Row numbers of the healthy texts that may look like a failure: only they tell what was caught from what failed."""
    return {row for row, label in enumerate(data.labels) if label == NO_INCIDENT and data.features[row].went_on}


def _spread(groups: Sequence[str], most: int) -> set[int]:
    """Row numbers, at most ``most``: the first row of every group, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for row, group in enumerate(groups):
        turns.append((seen[group], row))
        seen[group] += 1
    return {row for _, row in sorted(turns)[:most]}


def _said(models: TriageModels, unseen: Unseen, row: int) -> dict[str, float]:
    return models.category.shares(unseen.scores[row])


def _answer(models: TriageModels, unseen: Unseen, row: int) -> Answer:
    category, confidence = next(iter(_said(models, unseen, row).items()))
    return Answer(category, confidence, bool(models.transient.share(unseen.transient[row]) >= 0.5))
