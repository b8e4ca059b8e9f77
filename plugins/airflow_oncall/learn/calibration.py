"""What is measured on rows that models had not seen: limits, thresholds, and how far rules and models can be trusted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airflow_oncall.incident import NO_INCIDENT
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.parts import fit_calibration
from airflow_oncall.learn.vectors import Prepared
from airflow_oncall.triage.memory import CORPUS, Memory
from airflow_oncall.triage.models import (
    REMEDIES,
    Calibration,
    Circumstances,
    Remedy,
    RuleWord,
    TransientModel,
    caught_signals,
    contradiction_signals,
    remedy_signals,
    rule_signals,
    transient_signals,
)

FAMILIAR = 0.95
"""Share of unseen training texts that must not count as unlike anything seen."""
SAME_TROUBLE = 0.98
"""Share of likenesses above the memory's threshold that must have the right category."""
LEAST_LIKENESS = 0.4
_STEP = 0.001
LEAST_CONTRADICTIONS = 20
PRIOR_ROWS = 100
"""How many verified repairs the corpus is worth to the confidence model."""


@dataclass(frozen=True)
class Repair:
    """One repair whose outcome was verified, as it looked when it was decided."""

    category: str
    transient_probability: float
    anomaly: bool
    remedy: Remedy
    around: Circumstances
    resolved: bool


def distance_limit(distances: Any, examples: Sequence[Example]) -> float:
    """The distance that :data:`FAMILIAR` of the unseen corpus rows stay below; what a site labels is strange by nature."""
    shipped = [row for row, example in enumerate(examples) if example.origin == CORPUS]
    return round(float(np.quantile(distances[shipped] if shipped else distances, FAMILIAR)), 4)


def set_threshold(memory: Memory, data: Prepared) -> Memory:
    """The memory with the lowest cosine at which likenesses to labelled failures are right, measured on all rows."""
    found: list[tuple[float, bool]] = []
    positions = iter(range(len(memory.entries)))
    for example, document in zip(data.examples, data.documents, strict=True) if memory.entries else ():
        own = next(positions) if example.origin != CORPUS else None
        if likeness := memory.most_similar(memory.weigh(document), skip=own):
            found.append((likeness.cosine, likeness.remembered.category in (example.category, *example.also)))
    alike = sorted((one for one in found if one[0] >= LEAST_LIKENESS), reverse=True)
    threshold, trust, right = alike[0][0] + _STEP if alike else LEAST_LIKENESS, SAME_TROUBLE, 0
    for number, (_, fits) in enumerate(alike, 1):
        right += fits
        if right / number >= SAME_TROUBLE:
            below = alike[number][0] + _STEP if number < len(alike) else LEAST_LIKENESS
            threshold, trust = below, (right + 1) / (number + 2)
    return replace(memory, threshold=round(threshold, 4), trust=round(trust, 4))


def fit_rule_trust(
    data: Prepared, words: Sequence[RuleWord | None], said: Sequence[Mapping[str, float]], distances: Any
) -> Calibration | None:
    """P(a rule's category is right), from its score and what models that had not seen the row say."""
    signals, right, weights = [], [], []
    for example, word, probabilities, distance in zip(data.examples, words, said, distances, strict=False):
        if word:
            signals.append(rule_signals(word, probabilities, float(distance)))
            right.append(word.category in (example.category, *example.also))
            weights.append(example.weight)
    return fit_calibration(signals, right, weights) if signals else None


def fit_model_trust(
    data: Prepared, words: Sequence[RuleWord | None], said: Sequence[Mapping[str, float]], distances: Any
) -> Calibration | None:
    """P(the category model is right) on rows where it contradicts a rule; ``None`` where they are too few to tell."""
    signals, right, weights = [], [], []
    for example, word, probabilities, distance in zip(data.examples, words, said, distances, strict=False):
        best = next(iter(probabilities))
        if word and best != word.category:
            signals.append(contradiction_signals(word, probabilities, float(distance)))
            right.append(best in (example.category, *example.also))
            weights.append(example.weight)
    return fit_calibration(signals, right, weights) if len(signals) >= LEAST_CONTRADICTIONS else None


def fit_caught(
    data: Prepared, asked: Collection[int], words: Sequence[RuleWord | None], said: Sequence[Mapping[str, float]], distances: Any
) -> Calibration | None:
    """P(nothing failed), from those rows ``asked`` about that no rule calls healthy and that do not say themselves that they failed."""
    signals, right, weights = [], [], []
    for row in sorted(asked):
        word, features, example = words[row], data.features[row], data.examples[row]
        if features.ended != "failed" and (word is None or word.category != NO_INCIDENT):
            signals.append(caught_signals(word, features, said[row], float(distances[row])))
            right.append(example.category == NO_INCIDENT)
            weights.append(example.weight)
    return fit_calibration(signals, right, weights)


def fit_rule_transient(data: Prepared, words: Sequence[RuleWord | None], model: TransientModel, odds: Any) -> Calibration | None:
    """P(a re-run can help) where a rule spoke, from what the rule and the transient model say."""
    signals, right, weights = [], [], []
    for example, word, score in zip(data.examples, words, odds, strict=False):
        if word and example.transient is not None:
            signals.append(transient_signals(word.transient, model.share(score)))
            right.append(example.transient)
            weights.append(example.weight)
    return fit_calibration(signals, right, weights) if signals else None


def fit_confidence(examples: Sequence[Example], model: TransientModel, odds: Any, repairs: Sequence[Repair]) -> Calibration:
    """P(a remedy resolves the incident), from verified repairs. Without any, P(a re-run can help) stands.

    The prior says the same, softly: the corpus' texts, each as likely to be helped as the transient model says. It must not
    teach categories, for that model has weighed them already.
    """
    if not repairs:
        return Calibration({"transient": 1.0})
    signals, right, weights = [], [], []
    known = [row for row, example in enumerate(examples) if example.transient is not None]
    prior = PRIOR_ROWS / max(1.0, sum(examples[row].weight for row in known)) / len(REMEDIES)
    for row in known:
        helps = model.share(odds[row])
        for remedy in REMEDIES:
            for resolved, share in ((True, helps), (False, 1 - helps)):
                signals.append(remedy_signals(remedy, examples[row].category, helps, False, Circumstances()))
                right.append(resolved)
                weights.append(prior * examples[row].weight * share)
    for repair in repairs:
        signals.append(remedy_signals(repair.remedy, repair.category, repair.transient_probability, repair.anomaly, repair.around))
        right.append(repair.resolved)
        weights.append(1.0)
    return fit_calibration(signals, right, weights) or Calibration({"transient": 1.0})
