"""The starter models: trained on the spot from the shipped corpus, because a pickle from elsewhere is never trusted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.corpus import read_corpus
from airflow_oncall.learn.dataset import Example
from airflow_oncall.learn.files import TABLE, ModelsPath
from airflow_oncall.learn.fitting import Judge, fit_models
from airflow_oncall.learn.registry import load_champion, next_version, save_model
from airflow_oncall.learn.table_export import NoTable, export
from airflow_oncall.store.base import ModelVersions
from airflow_oncall.triage.models import TriageModels

NAME = "triage"

log = logging.getLogger(__name__)


def train_starter(
    models_path: ModelsPath, versions: ModelVersions, examples: Sequence[Example] | None = None, judge: Judge | None = None
) -> ModelVersion:
    """Train from the shipped corpus (or ``examples``), save, register and promote; takes seconds, no search.

    With a ``judge`` (the rules in force) its word is calibrated too. Each training has a version of its own, so that a broken
    champion can always be replaced.
    """
    given = read_corpus() if examples is None else examples
    version = next_version(versions.list(NAME))
    fitted = fit_models(given, judge=judge)
    models = replace(fitted.models, version=f"{NAME} {version}")
    return save_model(models_path, versions, NAME, version, models, fitted.metrics, _table(models, given))


def _table(models: TriageModels, examples: Sequence[Example]) -> Mapping[str, bytes]:
    try:
        return {TABLE: export(models, [example.text for example in examples]).encode()}
    except NoTable as refusal:
        log.warning("%s", refusal)
        return {}


def load_starter(models_path: ModelsPath, versions: ModelVersions) -> tuple[TriageModels, str] | None:
    """The champion and how a diagnosis names it; ``None`` means rules alone."""
    loaded = load_champion(models_path, versions, NAME)
    return (loaded[0], f"{loaded[1].name} {loaded[1].version}") if loaded else None
