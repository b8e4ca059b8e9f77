"""The starter models: trained on the spot from the shipped corpus, because a pickle from elsewhere is never trusted."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta

from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.card import people_files
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.dataset import Example, assemble
from airflow_oncall.learn.files import ModelsPath
from airflow_oncall.learn.fitting import Judge, fit_models
from airflow_oncall.learn.registry import describe_model, load_champion, promote_model
from airflow_oncall.learn.saving import save_trained
from airflow_oncall.store.base import ModelVersions
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import MODEL

NAME = MODEL
TURN = timedelta(minutes=10)
"""How long a starter training that was killed keeps others waiting."""

log = logging.getLogger(__name__)


def train_starter(
    models_path: ModelsPath, versions: ModelVersions, examples: Sequence[Example] | None = None, judge: Judge | None = None
) -> ModelVersion:
    """Train from the shipped corpus (or ``examples``), save, register and promote; takes seconds, no search, no comparison.

    With a ``judge`` (the rules in force) its word is calibrated too. Each training has a version of its own, so that a broken
    champion can always be replaced. Raises ``TrainingSkipped`` while somebody else trains, or where there is nothing to tell apart.
    """
    trainer = f"a starter training ({secrets.token_hex(3)})"
    versions.begin_training(NAME, trainer, TURN)
    try:
        return _train(models_path, versions, read_corpus() if examples is None else examples, judge)
    finally:
        versions.end_training(NAME, trainer)


def _train(models_path: ModelsPath, versions: ModelVersions, examples: Sequence[Example], judge: Judge | None) -> ModelVersion:
    dataset = assemble(examples)
    fitted = fit_models(dataset.examples, judge=judge)
    about = {
        "rows": dataset.counts(),
        "features": len(fitted.models.vectoriser.vocabulary_),
        "classes": list(fitted.models.category.classes),
        "parameters": fitted.choice.described(),
        "dataset": dataset.digest,
    }
    model, notes = save_trained(models_path, versions, NAME, fitted.models, dataset.examples, about)
    said = ["a starter: no search, no comparison and no gate; the first whole training replaces it"]
    said += ["no pictures: drawing takes longer than the rest of the papers, the first whole training draws them"]
    metrics = {"reports": {"models alone": {"unseen groups": dict(fitted.metrics)}}, "notes": [*said, *dataset.notes, *notes]}
    papers = people_files(model, {**model.metrics, **metrics}, pictures=False)
    describe_model(models_path, versions, model, metrics, papers)
    return promote_model(models_path, versions, model, reason="trained from the corpus alone, without a gate")


def load_starter(models_path: ModelsPath, versions: ModelVersions) -> tuple[TriageModels, str] | None:
    """The champion and how a diagnosis names it; ``None`` means rules alone."""
    loaded = load_champion(models_path, versions, NAME)
    return (loaded[0], f"{loaded[1].name} {loaded[1].version}") if loaded else None
