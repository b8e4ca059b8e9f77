"""Everything that one training learns, as one artefact: promoting it is atomic.

Saved with joblib, loaded only by registered hash. The parts hold plain arrays and numbers, so that their answers can be
explained exactly and written to the table (:mod:`.table`). Nothing heavy is imported here; unpickling loads NumPy and
scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_oncall.incident import NO_INCIDENT, ActionKind
from airflow_oncall.triage.features import Features, tokens
from airflow_oncall.triage.memory import Memory


def logit(probability: float) -> float:
    """Log odds, kept finite."""
    bounded = min(max(probability, 0.001), 0.999)
    return math.log(bounded / (1 - bounded))


def sigmoid(score: float) -> float:
    """The probability of log odds."""
    return 1 / (1 + math.exp(-score)) if score >= 0 else 1 - 1 / (1 + math.exp(score))


@dataclass(frozen=True)
class CategoryModel:
    """Linear scores of token weights; ``softmax(score / temperature)`` are calibrated probabilities."""

    classes: tuple[str, ...]
    coef: Any
    """Array, classes x tokens."""
    intercept: Any
    temperature: float = 1.0

    def probabilities(self, vector: Any) -> dict[str, float]:
        """Category -> probability, the most probable first."""
        return self.shares((vector @ self.coef.T)[0] + self.intercept)

    def shares(self, scores: Iterable[float]) -> dict[str, float]:
        """Calibrated probabilities of linear scores, the most probable first."""
        scaled = [float(score) / self.temperature for score in scores]
        best = max(scaled)
        shares = [math.exp(score - best) for score in scaled]
        whole = sum(shares)
        pairs = zip(self.classes, (share / whole for share in shares), strict=True)
        return dict(sorted(pairs, key=lambda pair: -pair[1]))


@dataclass(frozen=True)
class TransientModel:
    """P(a re-run can help): token weights, plus what the category adds. Without training data it says what the prior says."""

    coef: Any
    """Array of one weight a token."""
    offsets: Mapping[str, float]
    """Category -> log odds it adds."""
    intercept: float
    temperature: float = 1.0

    def probability(self, vector: Any, category: str) -> float:
        """Probability that a re-run can help a failure of ``category`` with this text."""
        return self.share(float((vector @ self.coef)[0]) + self.offsets.get(category, 0.0) + self.intercept)

    def share(self, score: float) -> float:
        """Calibrated probability of a linear score."""
        return sigmoid(float(score) / self.temperature)


@dataclass(frozen=True)
class Patterns:
    """The shapes that known failures have: a few directions and the centres of clusters along them."""

    components: Any
    """Array, directions x tokens."""
    centres: Any
    """Array, clusters x directions; each of length 1."""
    limit: float
    """Distance above which a text is unlike anything seen: a quantile of the training texts' distances."""

    def distance(self, vector: Any, known: float) -> float:
        """How far a text lies from the nearest pattern, from 0 to 2; ``known`` is the share of its weight in known tokens."""
        return float(self.distances(vector, known)[0])

    def distances(self, matrix: Any, known: Any) -> Any:
        """The same of many texts: one row and one share each."""
        places = matrix @ self.components.T
        lengths = (places * places).sum(axis=1) ** 0.5
        return 1 - known * (places @ self.centres.T).max(axis=1) / (lengths + (lengths == 0))


@dataclass(frozen=True)
class Calibration:
    """The probability that a rule's word is right: log odds as a weighted sum of named signals."""

    weights: Mapping[str, float] = field(default_factory=lambda: {"rule": 1.0})
    intercept: float = 0.0

    def probability(self, signals: Mapping[str, float]) -> float:
        """Calibrated probability."""
        return sigmoid(self.intercept + sum(self.weights.get(name, 0.0) * value for name, value in signals.items()))


@dataclass(frozen=True)
class RuleWord:
    """What the rules say about one text."""

    category: str
    score: float
    transient: bool | None
    contested: bool = False
    """A rule of another category is nearly as sure."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of a task instance in trouble beside its text."""

    try_number: int = 1
    successes: int = 0
    """Earlier repairs of this task or fingerprint after which it succeeded."""
    failures: int = 0
    """Earlier repairs of this task or fingerprint after which it failed again."""
    hour: int = 12
    weekday: int = 2
    """Monday is 0."""


@dataclass(frozen=True)
class Remedy:
    """One thing that can be done."""

    kind: str
    waits: bool = False
    """Some time is given to the cause before."""

    def __str__(self) -> str:
        return f"{self.kind}{' after a wait' if self.waits else ''}"


@dataclass(frozen=True)
class Recommendation:
    """One remedy and the probability that it resolves the incident."""

    remedy: Remedy
    probability: float


REMEDIES = (
    Remedy(ActionKind.CLEAR_TASK),
    Remedy(ActionKind.CLEAR_TASK, waits=True),
    Remedy(ActionKind.CLEAR_RUN),
)
"""What the system can do by itself."""


def remedy_signals(remedy: Remedy, category: str, transient: float, anomaly: bool, around: Circumstances) -> dict[str, float]:
    """What the confidence model reads."""
    return {
        "transient": logit(transient),
        f"category:{category}": 1.0,
        "waits": float(remedy.waits),
        f"waits:{category}": float(remedy.waits),
        f"action:{remedy.kind}": 1.0,
        "tries": math.log1p(max(0, around.try_number - 1)),
        "successes": math.log1p(around.successes),
        "failures": math.log1p(around.failures),
        "night": float(around.hour < 6 or around.hour >= 22),
        "weekend": float(around.weekday >= 5),
        "anomaly": float(anomaly),
    }


@dataclass(frozen=True)
class Reading:
    """What the models say about one text."""

    probabilities: Mapping[str, float]
    """Category -> probability, the most probable first."""
    distance: float
    unlike: bool
    """Unlike anything seen."""
    vector: Any = field(repr=False, compare=False)

    @property
    def category(self) -> str:
        """The most probable category."""
        return next(iter(self.probabilities))

    @property
    def probability(self) -> float:
        """Its probability."""
        return self.probabilities[self.category]


def rule_signals(word: RuleWord, probabilities: Mapping[str, float], distance: float) -> dict[str, float]:
    """What the calibration of a rule's word reads: its score, and how far the models agree with it."""
    return {
        "rule": logit(word.score),
        "contested": float(word.contested),
        "healthy": float(word.category == NO_INCIDENT),
        "agreed": float(next(iter(probabilities)) == word.category),
        "model": logit(probabilities.get(word.category, 0.0)),
        "distance": distance,
    }


def contradiction_signals(word: RuleWord, probabilities: Mapping[str, float], distance: float) -> dict[str, float]:
    """What the calibration of the category model reads where it contradicts a rule."""
    best = max(probabilities.values())
    return {"rule": logit(word.score), "contested": float(word.contested), "model": logit(best), "distance": distance}


def caught_signals(word: RuleWord | None, features: Features, probabilities: Mapping[str, float], distance: float) -> dict[str, float]:
    """What the calibration of :attr:`TriageModels.caught` reads, where the rules speak of a failure or do not speak at all."""
    return {
        "rule": logit(word.score) if word else 0.0,
        "silent": float(word is None),
        "model": logit(probabilities.get(NO_INCIDENT, 0.0)),
        "distance": distance,
        "behind": math.log1p(features.behind),
        "came to its end": float(features.ended in ("success", "done")),
        "exception": float(bool(features.chain)),
    }


def transient_signals(said: bool | None, probability: float) -> dict[str, float]:
    """What the calibration of a rule's word on re-runs reads; ``probability`` is the transient model's."""
    return {"yes": float(said is True), "no": float(said is False), "model": logit(probability)}


@dataclass(frozen=True)
class TriageModels:
    """The learned parts of triage."""

    vectoriser: Any
    """Fitted ``TfidfVectorizer`` whose analyzer is :func:`~airflow_oncall.triage.features.tokens`."""
    category: CategoryModel
    transient: TransientModel
    patterns: Patterns
    memory: Memory
    rule_trust: Calibration | None = None
    """P(a rule's category is right); ``None`` where no rules were at hand in training."""
    model_trust: Calibration | None = None
    """P(the category model is right) where it contradicts a rule; ``None``: it never overrules."""
    caught: Calibration | None = None
    """P(nothing failed), where the rules speak of a failure, or do not speak, and the text itself does not say that it failed."""
    rule_transient: Calibration | None = None
    """P(a re-run can help), where a rule spoke."""
    confidence: Calibration = field(default_factory=lambda: Calibration({"transient": 1.0}))
    """P(a remedy resolves the incident)."""
    sure: float = 0.5
    """Probability below which the category model's word is a guess."""
    version: str = ""
    """What a diagnosis names as its model, e.g. ``triage 0.3.0``."""

    def read(self, features: Features) -> Reading:
        """What the models say about a text."""
        vector = self.vectoriser.transform([features])
        distance = self.patterns.distance(vector, self.memory.known_share(tokens(features)))
        return Reading(self.category.probabilities(vector), round(distance, 4), distance > self.patterns.limit, vector)

    def carried(self, reading: Reading) -> list[tuple[str, float]]:
        """Tokens and what each adds to the margin (log odds) of the first category over the second, heaviest first. Exact."""
        first, second = (self.category.classes.index(name) for name in list(reading.probabilities)[:2])
        margin = (self.category.coef[first] - self.category.coef[second]) / self.category.temperature
        names = self.vectoriser.get_feature_names_out()
        cells = zip(reading.vector.indices, reading.vector.data, strict=True)
        return sorted(((str(names[column]), float(value * margin[column])) for column, value in cells), key=lambda pair: -abs(pair[1]))

    def recommend(self, category: str, transient: float, anomaly: bool, around: Circumstances) -> list[Recommendation]:
        """All remedies, best first; a person (``escalate``) is needed as far as no re-run helps."""
        rated = [
            Recommendation(remedy, self.confidence.probability(remedy_signals(remedy, category, transient, anomaly, around)))
            for remedy in REMEDIES
        ]
        best = max(one.probability for one in rated)
        rated.append(Recommendation(Remedy(ActionKind.ESCALATE), 1 - best))
        return sorted(rated, key=lambda one: -one.probability)
