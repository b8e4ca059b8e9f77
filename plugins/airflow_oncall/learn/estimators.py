"""Linear estimators of the category, and the search for the best one by grouped, stratified cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GroupKFold, RandomizedSearchCV, StratifiedGroupKFold
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

SEED = 7
FOLDS = 3


@dataclass(frozen=True)
class Choice:
    """An estimator, its hyper-parameters and, where it was searched for, its grouped cross-validation macro-F1."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    macro_f1: float | None = None
    tried: int = 0

    def build(self) -> Any:
        """A fresh, unfitted estimator."""
        return CANDIDATES[self.name][0]().set_params(**self.parameters)

    def described(self) -> dict[str, Any]:
        """As a version's metrics keep it."""
        return {"estimator": self.name, **self.parameters}

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Choice:
        """What :meth:`described` gave; the default for what a release without this estimator or without this note left."""
        parameters = dict(described)
        name = parameters.pop("estimator", DEFAULT.name)
        return cls(name, parameters) if name in CANDIDATES else DEFAULT


CANDIDATES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "LogisticRegression": (
        lambda: LogisticRegression(class_weight="balanced", max_iter=200, tol=1e-3, random_state=SEED),
        {"C": np.geomspace(1, 100, 9)},
    ),
    "SGDClassifier": (
        lambda: SGDClassifier(loss="log_loss", class_weight="balanced", random_state=SEED),
        {"alpha": np.geomspace(1e-6, 1e-3, 9)},
    ),
    "ComplementNB": (ComplementNB, {"alpha": np.geomspace(0.01, 2, 9)}),
    "LinearSVC": (lambda: LinearSVC(class_weight="balanced", random_state=SEED), {"C": np.geomspace(0.05, 10, 9)}),
}
"""Name -> how it is built, and where its hyper-parameters are searched. All are linear: explained exactly, written to the table."""
DEFAULT = Choice("LogisticRegression", {"C": 20.0})
"""What a training without a search uses."""


def splits(labels: Sequence[str], groups: Sequence[str]) -> list[tuple[Any, Any]]:
    """Train and test row numbers of each fold: groups whole, categories in like shares. Empty where there are too few groups."""
    count = min(FOLDS, len(set(groups)))
    if count < 2:
        return []
    rarest = min(list(labels).count(label) for label in set(labels))
    kind = StratifiedGroupKFold(count, shuffle=True, random_state=SEED) if rarest >= count else GroupKFold(count)
    return list(kind.split(np.zeros(len(labels)), labels, groups))


def search(
    vectoriser: Any, documents: Sequence[Sequence[str]], labels: Sequence[str], groups: Sequence[str], weights: Sequence[float], rounds: int
) -> Choice:
    """The best of ``rounds`` random candidates by macro-F1 on unseen groups; :data:`DEFAULT` where it cannot be measured."""
    folds = [(train, test) for train, test in splits(labels, groups) if len({labels[row] for row in train}) > 1]
    if rounds < 1 or len(folds) < 2:
        return DEFAULT
    space = [{"model": [make()], **{f"model__{name}": where for name, where in ranges.items()}} for make, ranges in CANDIDATES.values()]
    pipeline = Pipeline([("words", vectoriser), ("model", DEFAULT.build())])
    found = RandomizedSearchCV(pipeline, space, n_iter=rounds, scoring="f1_macro", cv=folds, random_state=SEED, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a candidate that does not converge is a worse candidate, no trouble
        found.fit(list(documents), list(labels), model__sample_weight=np.asarray(weights))
    best = dict(found.best_params_)
    name = type(best.pop("model")).__name__
    parameters = {key.removeprefix("model__"): float(value) for key, value in best.items()}
    return Choice(name, parameters, round(float(found.best_score_), 4), rounds)


def linear_parts(estimator: Any) -> tuple[Any, Any]:
    """Weights (classes x tokens) and intercepts of a fitted estimator."""
    if isinstance(estimator, ComplementNB):
        return estimator.feature_log_prob_.astype(np.float32), np.zeros(len(estimator.classes_))
    coef, intercept = estimator.coef_, estimator.intercept_
    if len(estimator.classes_) == 2:  # scikit-learn keeps the second class only
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.array([-intercept[0] / 2, intercept[0] / 2])
    return coef.astype(np.float32), intercept


def best_temperature(scores: Any, truth: Any, weights: Any) -> float:
    """The temperature at which ``softmax(scores / temperature)`` has the least log loss on rows that were not trained on."""

    def loss(log_temperature: float) -> float:
        chosen = log_softmax(scores / np.exp(log_temperature), axis=1)[np.arange(len(truth)), truth]
        return float(-(weights * chosen).sum() / weights.sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def quietly(fit: Callable[[], Any]) -> Any:
    """Fit without scikit-learn's warnings on convergence and rare classes: what comes out is measured anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit()
