"""The parts of :class:`TriageModels`, each fitted from a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.estimators import SEED, Choice, linear_parts, quietly
from airflow_oncall.triage.memory import CORPUS, Memory, Remembered
from airflow_oncall.triage.models import Calibration, CategoryModel, Patterns, TransientModel

DIRECTIONS, CLUSTERS = 48, 96


def fit_category(matrix: Any, labels: Sequence[str], weights: Any, choice: Choice) -> CategoryModel:
    """Linear scores of the categories; not calibrated yet."""
    estimator = choice.build()
    quietly(lambda: estimator.fit(matrix, labels, sample_weight=weights))
    coef, intercept = linear_parts(estimator)
    return CategoryModel(tuple(map(str, estimator.classes_)), coef, intercept)


def fit_transient(matrix: Any, examples: Sequence[Example]) -> TransientModel:
    """P(a re-run can help) from text and category; rows where it is unclear teach nothing."""
    rows = [number for number, example in enumerate(examples) if example.transient is not None]
    truth = [bool(examples[number].transient) for number in rows]
    if len(set(truth)) < 2:
        return TransientModel(np.zeros(matrix.shape[1], dtype=np.float32), {}, 2.0 if truth and truth[0] else -2.0)
    categories = sorted({examples[number].category for number in rows})
    flags = sparse.csr_matrix([[float(examples[number].category == name) for name in categories] for number in rows])
    model = LogisticRegression(C=10.0, max_iter=200, tol=1e-3, random_state=SEED)
    weights = [examples[number].weight for number in rows]
    quietly(lambda: model.fit(sparse.hstack([matrix[rows], flags]).tocsr(), truth, sample_weight=weights))
    coef = model.coef_[0]
    offsets = dict(zip(categories, map(float, coef[matrix.shape[1] :]), strict=True))
    return TransientModel(coef[: matrix.shape[1]].astype(np.float32), offsets, float(model.intercept_[0]))


def fit_patterns(matrix: Any, groups: Sequence[str]) -> Patterns:
    """Directions and cluster centres; the limit is set by :func:`~.calibration.distance_limit`."""
    most = min(matrix.shape[0], matrix.shape[1]) - 1
    if most < 2:
        return Patterns(np.zeros((1, matrix.shape[1]), dtype=np.float32), np.zeros((1, 1)), 2.0)
    svd = TruncatedSVD(min(DIRECTIONS, most), random_state=SEED).fit(matrix)
    components = svd.components_.astype(np.float32)
    places = normalize(matrix @ components.T)
    count = min(CLUSTERS, len(set(groups)), matrix.shape[0])
    centres = quietly(lambda: KMeans(count, n_init=1, random_state=SEED).fit(places)).cluster_centers_
    return Patterns(components, normalize(centres).astype(np.float32), 2.0)


def make_memory(vectoriser: Any, examples: Sequence[Example], documents: Sequence[Sequence[str]]) -> Memory:
    """Every example that people or outcomes labelled; the threshold is set by :func:`~.calibration.set_threshold`."""
    rarity = {token: float(vectoriser.idf_[column]) for token, column in vectoriser.vocabulary_.items()}
    empty = Memory((), rarity, max(rarity.values()))
    entries = [
        Remembered(example.group, example.category, example.transient, example.origin, empty.weigh(document))
        for example, document in zip(examples, documents, strict=True)
        if example.origin != CORPUS
    ]
    return Memory(tuple(entries), empty.rarity, empty.rarest)


def fit_calibration(signals: Sequence[Mapping[str, float]], right: Sequence[bool], weights: Any) -> Calibration | None:
    """Logistic regression on named signals; ``None`` where all answers were alike and nothing can be told apart."""
    if len(set(right)) < 2:
        return None
    names = DictVectorizer()
    matrix = names.fit_transform(signals)
    model = LogisticRegression(max_iter=500)
    quietly(lambda: model.fit(matrix, right, sample_weight=weights))
    pairs = zip(names.get_feature_names_out(), map(float, model.coef_[0]), strict=True)
    return Calibration({str(name): weight for name, weight in pairs}, float(model.intercept_[0]))
