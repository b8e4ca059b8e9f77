"""A trained artefact and what stands beside it from the first moment: the digests of its rows, and the table for workers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_oncall.errors import StoreError, VersionTaken
from airflow_oncall.incident import ModelVersion
from airflow_oncall.learn.card import library_versions
from airflow_oncall.learn.dataset import Example, row_digest
from airflow_oncall.learn.files import ROWS, ModelsPath
from airflow_oncall.learn.registry import next_version, save_challenger
from airflow_oncall.learn.table_export import NoTable, export
from airflow_oncall.store.base import ModelVersions
from airflow_oncall.triage.models import TriageModels
from airflow_oncall.triage.table import TABLE

log = logging.getLogger(__name__)

_RACES = 5


def save_trained(
    models_path: ModelsPath, versions: ModelVersions, name: str, models: TriageModels, examples: Sequence[Example], about: Mapping[str, Any]
) -> tuple[ModelVersion, list[str]]:
    """Save and register under the next free version, without promoting; also what its card has to say of that.

    ``examples`` are those that the models were trained on.
    """
    rows = "\n".join(sorted(map(row_digest, examples))).encode()
    metrics = {**about, "libraries": library_versions()}
    for _ in range(_RACES):
        version = next_version(versions.list(name))
        named = replace(models, version=f"{name} {version}")
        table, notes = _table(named, examples)
        try:
            return save_challenger(models_path, versions, name, version, named, metrics, {ROWS: rows, **table}), notes
        except VersionTaken as taken:
            log.info("%s", taken)
    raise StoreError(f"{_RACES} versions of {name} in a row were taken by other trainings; train again when they are done")


def _table(models: TriageModels, examples: Sequence[Example]) -> tuple[dict[str, bytes], list[str]]:
    try:
        return {TABLE: export(models, [one.text for one in examples]).encode()}, []
    except NoTable as refusal:
        log.warning("no table for workers: %s", refusal)
        return {}, [f"no table for workers: {refusal}"]
