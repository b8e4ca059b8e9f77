"""The starter classifier: trained on the spot from the shipped corpus, because a pickle from elsewhere is never trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.corpus import Row, read_corpus
from airflow_oncall.learn.registry import load_champion, save_model
from airflow_oncall.store.base import ModelVersions
from airflow_oncall.triage.features import read_features

NAME = "category"
FOLDS = 3
_SEED = 7
_WORD = r"(?u)\b[A-Za-z_][\w:]+\b"


@dataclass(frozen=True)
class Starter:
    """A fitted pipeline and how it did on scenarios that it had not seen."""

    estimator: Pipeline
    metrics: dict[str, Any]


def fit_starter(rows: Sequence[Row]) -> Starter:
    """Fit on corpus rows; measured by cross-validation grouped by scenario."""
    documents = [read_features(str(row["text"])).document for row in rows]
    labels = np.array([str(row["category"]) for row in rows])
    scenarios = [str(row["provenance"]).rpartition(":")[0] for row in rows]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=_SEED)
    guesses = cross_val_predict(_pipeline(), documents, labels, groups=scenarios, cv=folds)
    metrics = {
        "rows": len(labels),
        "unseen_scenarios_accuracy": round(float(np.mean(guesses == labels)), 4),
        "unseen_scenarios_macro_f1": round(float(f1_score(labels, guesses, average="macro", zero_division=0.0)), 4),
    }
    return Starter(_pipeline().fit(documents, labels), metrics)


def _pipeline() -> Pipeline:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD)
    return make_pipeline(words, LogisticRegression(C=10.0, class_weight="balanced", max_iter=500, random_state=_SEED))


def train_starter(models_path: Path, versions: ModelVersions, version: str = "", rows: Sequence[Row] | None = None) -> ModelVersion:
    """Train from the shipped corpus (or ``rows``), save, register and promote; takes a few seconds.

    Without a ``version`` each training has one of its own, so that a broken champion can always be replaced.
    """
    version = version or f"0.1.0+starter.{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%f}"
    starter = fit_starter(read_corpus() if rows is None else rows)
    return save_model(models_path, versions, NAME, version, starter.estimator, starter.metrics)


def load_starter(models_path: Path, versions: ModelVersions) -> tuple[Any, str] | None:
    """The champion's pipeline and how a diagnosis names it; ``None`` means rules alone."""
    loaded = load_champion(models_path, versions, NAME)
    return (loaded[0], f"{loaded[1].name} {loaded[1].version}") if loaded else None
